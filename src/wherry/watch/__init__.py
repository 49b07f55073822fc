"""Watch: what the log says of a shop's health, by SQL over the same tables."""

from wherry.watch.intake import Intake, Reason, read_intake
from wherry.watch.volumes import Volumes, read_volumes

__all__ = ["Intake", "Reason", "Volumes", "read_intake", "read_volumes"]
