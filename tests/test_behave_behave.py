"""The verdict on what would be released."""

from __future__ import annotations

from behave_subject import evaluation, flat, subject
from wherry.behave import CHECKS, Check, behave
from wherry.config import Behave


def test_a_good_subject_passes_and_its_verdict_names_its_tenant() -> None:
    verdict = behave(subject(rules=Behave(min_slice_sessions=5, max_answer_ms=1_000)), {})
    assert verdict.passed
    assert (verdict.subject, verdict.tenant) == ("behave", "default")
    assert len(verdict.checks) > len(CHECKS)


def test_one_failed_check_fails_the_verdict_and_is_among_its_failures() -> None:
    verdict = behave(subject(winner=evaluation(flat)), {})
    assert not verdict.passed
    assert "beats the baseline" in {check.name for check in verdict.failures}


def test_own_checks_count_like_any_other() -> None:
    own = {"mine.check_it": lambda _: Check(name="it", passed=False)}
    verdict = behave(subject(rules=Behave(max_answer_ms=1_000)), own)
    assert [check.name for check in verdict.failures] == ["it"]


def test_every_packaged_check_has_a_law() -> None:
    assert all((check.__doc__ or "").strip().endswith(".") for check in CHECKS)
