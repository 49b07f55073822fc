"""Records of runs for the tests of the report: realistic, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from wherry.domain import (
    STAGES,
    Act,
    Candidate,
    Check,
    Decision,
    Epoch,
    Estimate,
    ItemId,
    Outcome,
    Release,
    RunId,
    RunRecord,
    Severity,
    Stage,
    TenantId,
    TenantRun,
    Trial,
    Verdict,
)
from wherry.report import Example

DEFAULT = TenantId("default")
STARTED = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PACKAGES = {"duckdb": "1.5.5", "dbt-core": "1.11.16", "numpy": "2.4.1", "numba": "0.68.1"}
SETTINGS: dict[str, object] = {
    "shop": "Harbour Street",
    "sessions": {"gap_minutes": 30.0},
    "learn": {
        "candidates": ["popularity", "rules", "knn"],
        "metric": "mrr@20",
        "seed": 1,
        "slo": {"p99_ms": 20.0},
    },
    "behave": {"baseline": "popularity", "margin": 0.02, "hide_purchased": False},
}


def metrics(hr: float, mrr: float, coverage: float, half: float) -> dict[str, Estimate]:
    figures = {"coverage@20": coverage, "popularity@20": 0.021 / (coverage + 0.02)}
    for k, share in ((5, 0.68), (10, 0.85), (20, 1.0)):
        figures[f"hr@{k}"] = hr * share
        figures[f"mrr@{k}"] = mrr * (0.9 + 0.1 * share)
        figures[f"ndcg@{k}"] = (hr + mrr) / 2 * share
    return {name: Estimate(v, v - half, v + half) for name, v in figures.items()}


def candidates() -> tuple[Candidate, ...]:
    grid = [(k, n) for k in (100, 500, 1000) for n in (2_000, 5_000)]
    trials = tuple(
        Trial(params={"neighbours": k, "sample": n, "idf": 2.0}, figure=0.29 + k / 50_000 - n / 1e7)
        for k, n in grid
    )
    return (
        Candidate(
            name="popularity", model="popularity", params={"half_life_days": 7.0}, seed=1,
            metrics=metrics(0.041, 0.012, 0.006, 0.004),
            fit_seconds=0.021, answer_microseconds=4.1, p99_microseconds=9.0, size_bytes=148_200,
            memory_bytes=210_000,
        ),
        Candidate(
            name="rules", model="rules", params={"steps": 10, "decay": "1/x"}, seed=1,
            metrics=metrics(0.4054, 0.1951, 0.412, 0.008),
            fit_seconds=0.51, answer_microseconds=38.0, p99_microseconds=96.0, size_bytes=9_412_000,
            memory_bytes=9_700_000,
        ),
        Candidate(
            name="knn", model="knn", params={"neighbours": 1000, "sample": 2_000, "idf": 2.0},
            seed=1, metrics=metrics(0.5931, 0.3230, 0.577, 0.009), trials=trials,
            fit_seconds=0.124, answer_microseconds=104.0, p99_microseconds=310.0,
            size_bytes=18_730_400, memory_bytes=21_000_000,
        ),
        Candidate(
            name="gru4rec", model="gru4rec", params={"dimensions": 100, "epochs": 6}, seed=1,
            metrics=metrics(0.5780, 0.3130, 0.541, 0.009), fit_seconds=212.0,
            curve=tuple(Epoch(n, 9.2 / n**0.4, 35.0 * n) for n in range(1, 7)),
            answer_microseconds=2100.0, p99_microseconds=23_400.0, size_bytes=15_100_000,
            memory_bytes=16_000_000, excluded="p99 of 23.4 ms > slo.p99_ms of 20",
        ),
    )  # fmt: skip


def release(version: int = 4, tenant: TenantId = DEFAULT, model: str = "knn") -> Release:
    return Release(
        tenant=tenant, name="recommender", version=version, model=model, params={}, seed=1,
        snapshot=41, run_id=RunId("20261124-093000-7f3a"), code="0.1.0+586a447",
        packages=PACKAGES, metrics=metrics(0.5931, 0.3230, 0.577, 0.009), released_at=STARTED,
    )  # fmt: skip


def audit(*failing: Check) -> Verdict:
    passing = (
        Check(name="min_events", passed=True, figure=1_469_307, bound="≥ 1"),
        Check(name="rejected_share", passed=True, figure=0.00021, bound="≤ 0.05",
              message="312 of 1,469,619 rows could not be read."),
        Check(name="volume", passed=True, figure=1.08, bound="0.3 to 5",
              message="4,212 events on 2026-11-23, the newest whole day; the usual is 3,900."),
        Check(name="mean_session_length", passed=True, figure=5.44, bound="1 to 100"),
        Check(name="dbt: unique_events_event_id", passed=True, figure=0, bound="= 0"),
        Check(name="gap_hours", passed=True, figure=5.0, bound="≤ 24"),
    )  # fmt: skip
    return Verdict(subject="audit", tenant=DEFAULT, checks=(*passing, *failing))


def unknown_types() -> Check:
    rows = tuple(
        {"event_id": f"e-{n}", "event_type": "veiw", "occurred_at": f"2026-11-23 1{n}:02:11"}
        | {"query": None}
        for n in range(4)
    )
    return Check(
        name="unknown_type_share", passed=False, figure=0.231, bound="≤ 0.05", sample=rows,
        message="339,410 events have a type that [audit] event_types does not list: 'veiw' "
        "(339,402), 'ad' (8). Correct them at the source, or add the word to event_types.",
        sql="SELECT event_id, event_type, occurred_at, query\nFROM lake.marts.events\n"
        "WHERE tenant = 'default'\n  AND event_type NOT IN ('view', 'add')\nORDER BY occurred_at",
    )  # fmt: skip


def comparison(slice: str, champion: float, challenger: float, sessions: int) -> Check:
    passed = challenger >= champion * 0.9
    return Check(
        name="no_worse_than_champion", slice=slice, passed=passed, figure=challenger,
        bound=f"≥ {champion * 0.9:.3f}",
        message="" if passed else f"mrr@20 fell from {champion:.3f} to {challenger:.3f}.",
        severity=Severity.BLOCK if sessions >= 200 else Severity.WARN,
        sample=({"champion": champion, "challenger": challenger, "sessions": sessions},),
    )  # fmt: skip


def behave(worst: float = 0.294) -> Verdict:
    checks = (
        Check(name="beats_baseline", passed=True, figure=0.323, bound="> .016",
              message="knn's mrr@20, [.314, .332], lies above popularity's, [.008, .016]."),
        comparison("all", 0.310, 0.323, 5000),
        comparison("length: short (1–2)", 0.281, 0.284, 2912),
        comparison("length: long (8+)", 0.322, 0.361, 871),
        comparison("items: rare", 0.302, worst, 1204),
        comparison("items: frequent", 0.315, 0.331, 3796),
        *(comparison(f"weekday: {d}", 0.31, 0.31 + n / 200, 700 + n) for n, d in
          enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))),
        comparison("category: FROZEN PIZZA", 0.40, 0.31, 41),
        Check(name="coverage", passed=True, figure=0.577, bound="≥ 0.01"),
        Check(name="never_unavailable", passed=True, figure=0, bound="= 0"),
        Check(name="unknown_items_change_nothing", passed=True, figure=0, bound="= 0"),
        Check(name="same_answer_twice", passed=True, figure=0, bound="= 0"),
        Check(name="answer_ms_p99", passed=True, figure=0.412, bound="≤ 20"),
    )  # fmt: skip
    return Verdict(subject="behave", tenant=DEFAULT, checks=checks)


def stage(
    name: str,
    took: float,
    rows: int | None = None,
    outcome: Outcome = Outcome.DONE,
    note: str = "",
    **parts: float,
) -> Stage:
    return Stage(name=name, outcome=outcome, seconds=took, rows=rows, note=note, parts=parts)


def tenant_run(tenant: TenantId = DEFAULT) -> TenantRun:
    stages = (
        stage("audit", 0.41, 1_469_307),
        stage("publish", 0.03, 1_469_307, note="snapshot 41"),
        stage("learn", 14.2, 685_984, popularity=0.6, rules=2.9, knn=10.4),
        stage("behave", 3.9, 5_000),
        stage("release", 1.8),
    )
    facts: dict[str, int | float | str] = {
        "events": 1_469_307, "visitors": 2_469, "sessions": 155_848, "items": 68_509,
        "mean_session_length": 9.43, "rejected_share": 0.00021, "first_day": "2017-01-01",
        "last_day": "2018-01-01", "train_sessions": 140_263, "test_sessions": 5_000,
    }  # fmt: skip
    return TenantRun(
        tenant=tenant, stages=stages, snapshot=41, facts=facts, audit=audit(),
        candidates=candidates(), winner="knn", behave=behave(), release=release(tenant=tenant),
    )  # fmt: skip


def blocked_run(tenant: TenantId = DEFAULT) -> TenantRun:
    stages = (
        stage("audit", 0.38, 1_469_307, Outcome.BLOCKED, "1 of 8 checks blocks"),
        *(stage(name, 0.0, outcome=Outcome.SKIPPED) for name in STAGES[3:]),
    )
    stale = Check(
        name="freshness", passed=False, figure=31.0, bound="≤ 24 h", severity=Severity.WARN,
        message="The newest event is 31 hours old.",
    )  # fmt: skip
    facts: dict[str, int | float | str] = {"events": 1_469_307, "sessions": 155_848}
    return TenantRun(tenant=tenant, stages=stages, facts=facts, audit=audit(unknown_types(), stale))


def record(*tenants: TenantRun, shop: str = "Harbour Street") -> RunRecord:
    shared = (
        stage("load", 2.31, 1_469_307, note="transactions.parquet: 1,469,307 events, 312 rejected"),
        stage("transform", 3.72, 3_094_462, events=1.6, sessions=0.9, interactions=0.7, items=0.3),
    )
    return RunRecord(
        run_id=RunId("20261124-093000-7f3a"), shop=shop, started_at=STARTED, seconds=27.4,
        code="0.1.0+586a447", packages=PACKAGES, settings=SETTINGS, stages=shared,
        tenants=tenants or (tenant_run(),),
    )  # fmt: skip


NAMES = {
    "1082185": "Yellow bananas", "1029743": "2% reduced fat milk, gallon", "995242": "White bread",
    "981760": "Large eggs, dozen", "1127831": "Strawberries, 1 lb", "840361": "Skim milk, gallon",
}  # fmt: skip


def examples(tenant: TenantId = DEFAULT) -> tuple[Example, ...]:
    ids = [ItemId(i) for i in (*NAMES, "999")]
    return tuple(
        Example(
            session=tuple(ids[: n + 1]), shown=tuple(ids[n + 1 :]), next=ids[-1 - n * 2],
            title=title, tenant=tenant,
        )
        for n, title in enumerate(("A short session", "A longer one", "Four items"))
    )  # fmt: skip


def hostile(text: str) -> RunRecord:
    """A record in which every free text is ``text``."""
    sample = ({text: text},)
    check = Check(
        name=text, passed=False, figure=1.0, bound=text, slice=text, message=text,
        sample=sample, sql=text,
    )  # fmt: skip
    compared = msgspec.structs.replace(
        comparison(text, 0.3, 0.1, 900), name=text, message=text, bound=text
    )
    candidate = msgspec.structs.replace(
        candidates()[2], name=text, model=text, params={text: text},
        trials=(Trial(params={text: text}, figure=0.2),),
    )  # fmt: skip
    broken = msgspec.structs.replace(candidate, error=text, metrics={}, name=text + "!")
    run = TenantRun(
        tenant=TenantId(text), winner=text, candidates=(candidate, broken), facts={text: text},
        audit=Verdict(subject="audit", tenant=TenantId(text), checks=(check,)),
        behave=Verdict(subject="behave", tenant=TenantId(text), checks=(check, compared)),
        stages=(
            stage(text, 1.0, note=text, **{text: 0.4}),
            stage("audit", 1.0, 3, Outcome.BLOCKED, text),
        ),
    )  # fmt: skip
    return RunRecord(
        run_id=RunId(text), shop=text, started_at=STARTED, seconds=1.0, code=text,
        packages={text: text}, settings={text: {text: text}}, stages=(stage(text, 1.0, note=text),),
        tenants=(run, msgspec.structs.replace(run, tenant=TenantId(text + "2"))),
    )  # fmt: skip


def decisions(tenant: TenantId = DEFAULT) -> tuple[Decision, ...]:
    """The newest first: a release stopped by the guard, another tried, found better, promoted."""
    told = (
        (Act.RELEASED, "run 20261120-031500-1f", 2, 2, "it passed every check"),
        (Act.STARTED, "run 20261121-031500-2e", 3, 2, "canary, 10% of visitors"),
        (Act.FOUND_BETTER, "guard", 3, 2, "its click-through is 24.50%, the champion's 20.90%"),
        (Act.PROMOTED, "anna", 3, 3, ""),
        (Act.STARTED, "anna", 4, 3, "canary, 10% of visitors"),
        (Act.RAMPED, "anna", 4, 3, "canary, 10% of visitors → canary, 25% of visitors"),
        (
            Act.STOPPED,
            "guard",
            4,
            3,
            "its click-through is 3.90%, the champion's 24.50%: -20.6%, between -26.1% and -15.1%",
        ),
        (Act.ROLLED_BACK, "anna", 2, 2, "in place of recommender@3"),
    )
    return tuple(
        Decision(
            decided_at=STARTED - timedelta(hours=10 * (len(told) - n)),
            tenant=tenant,
            act=act,
            by=by,
            release=f"recommender@{of}",
            champion=f"recommender@{champion}",
            why=why,
        )
        for n, (act, by, of, champion, why) in reversed([*enumerate(told)])
    )
