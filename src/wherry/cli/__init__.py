"""The commands: thin calls of the project, as text or as JSON."""

from wherry.cli.main import main

__all__ = ["main"]
