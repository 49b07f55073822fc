"""The registry: candidates and releases in MLflow, the champion, and the way back."""

from wherry.registry.names import CHAMPION, model_name
from wherry.registry.registry import Champions, Registry

__all__ = ["CHAMPION", "Champions", "Registry", "model_name"]
