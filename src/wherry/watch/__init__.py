"""Watch: what the log says of a shop's health, by SQL over the same tables."""

from wherry.watch.evidence import Evidence, Part, Parts
from wherry.watch.guard import Bounds, Judgement, Ruling, judge
from wherry.watch.intake import Intake, Reason, read_intake
from wherry.watch.pairs import Pairs, read_pairs
from wherry.watch.volumes import Volumes, read_volumes

__all__ = [
    "Bounds",
    "Evidence",
    "Intake",
    "Judgement",
    "Pairs",
    "Part",
    "Parts",
    "Reason",
    "Ruling",
    "Volumes",
    "judge",
    "read_intake",
    "read_pairs",
    "read_volumes",
]
