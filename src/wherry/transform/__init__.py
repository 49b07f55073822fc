"""The transform: SQL that makes every table from the log, and the audit of what came out."""

from wherry.transform.audit import audit
from wherry.transform.build import Outcome, Transformed, is_up_to_date, transform
from wherry.transform.project import scaffold
from wherry.transform.results import DataTest, ModelRun

__all__ = [
    "DataTest",
    "ModelRun",
    "Outcome",
    "Transformed",
    "audit",
    "is_up_to_date",
    "scaffold",
    "transform",
]
