"""The registry: candidates and releases in MLflow, the champion, and the way back."""

from wherry.registry.names import CHALLENGER, CHAMPION, model_name
from wherry.registry.registry import Champions, Registry
from wherry.registry.rollouts import Challenger, Challengers, Rollouts, in_words, label

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Challenger",
    "Challengers",
    "Champions",
    "Registry",
    "Rollouts",
    "in_words",
    "label",
    "model_name",
]
