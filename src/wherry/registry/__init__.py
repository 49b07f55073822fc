"""The registry: candidates and releases in MLflow, the champion, and the way back."""

from wherry.registry.registry import CHAMPION, Registry, model_name

__all__ = ["CHAMPION", "Registry", "model_name"]
