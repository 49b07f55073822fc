"""The skew proof: logged answers computed again offline, and what differs and why."""

from wherry.watch.skew.answers import Releases
from wherry.watch.skew.explanation import Cause
from wherry.watch.skew.sessions import Definition
from wherry.watch.skew.skew import Difference, Fault, Skew, examine

__all__ = ["Cause", "Definition", "Difference", "Fault", "Releases", "Skew", "examine"]
