"""Behave: what a model must show before it is released."""

from wherry.behave.behave import CHECKS, behave
from wherry.behave.own import OwnCheck, load_own_checks
from wherry.behave.slices import slices
from wherry.behave.subject import Subject
from wherry.domain import Check, Severity, Verdict
from wherry.learn.answer import Query

__all__ = [
    "CHECKS",
    "Check",
    "OwnCheck",
    "Query",
    "Severity",
    "Subject",
    "Verdict",
    "behave",
    "load_own_checks",
    "slices",
]
