"""Watch: what the log says of a shop's health, by SQL over the same tables."""

from wherry.watch.evidence import Evidence, Part, Parts, drop_evidence
from wherry.watch.guard import Bounds, Judgement, Ruling, judge
from wherry.watch.intake import Intake, Reason, read_intake
from wherry.watch.outcomes import By, Outcomes, Rate, read_outcomes
from wherry.watch.pairs import Pairs, read_pairs
from wherry.watch.volumes import Volumes, read_volumes

__all__ = [
    "Bounds",
    "By",
    "Evidence",
    "Intake",
    "Judgement",
    "Outcomes",
    "Pairs",
    "Part",
    "Parts",
    "Rate",
    "Reason",
    "Ruling",
    "Volumes",
    "drop_evidence",
    "judge",
    "read_intake",
    "read_outcomes",
    "read_pairs",
    "read_volumes",
]
