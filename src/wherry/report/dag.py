"""The stages of a run as a drawing: shared stages first, then one row for each tenant."""

from __future__ import annotations

from markupsafe import Markup

from wherry.domain import STAGES, Outcome, RunRecord, Stage
from wherry.report.conclusion import OUTCOME_SYMBOLS
from wherry.report.numbers import count, seconds
from wherry.report.svg import element, shorten

SHARED = STAGES[: STAGES.index("audit")]
OWN = STAGES[STAGES.index("audit") :]

WIDTH, HEIGHT = 136, 66
GAP, ROW_GAP = 30, 30
TOP = 22


def draw_stages(record: RunRecord) -> Markup:
    """Draw the stages of a run; a stage that did not run is drawn empty.

    Tenants are named above their rows where there are several.
    """
    n_rows = max(1, len(record.tenants))
    top = TOP if len(record.tenants) > 1 else 2
    pitch = HEIGHT + ROW_GAP
    middle = top + (n_rows - 1) * pitch / 2
    parts = [element("title", "The stages of the run"), element("desc", _described(record))]
    parts += _chain(SHARED, record.stages, 0, middle)
    for row in range(n_rows):
        tenant = record.tenants[row] if record.tenants else None
        own = tenant.stages if tenant is not None else ()
        y = top + row * pitch
        parts.append(_edge(_x(len(SHARED) - 1) + WIDTH, middle, _x(len(SHARED)), y))
        if tenant is not None and n_rows > 1:
            name = shorten(tenant.tenant, 60)
            parts.append(element("text", name, x=_x(len(SHARED)), y=y - 8, class_="tenant"))
        parts += _chain(OWN, own, len(SHARED), y)
    width, height = _x(len(STAGES)) - GAP + 2, top + n_rows * pitch - ROW_GAP + 2
    return element(
        "svg", *parts, class_="dag", role="img", viewBox=f"0 0 {width} {height:.0f}", width=width
    )


def _chain(
    names: tuple[str, ...], stages: tuple[Stage, ...], column: int, y: float
) -> list[Markup]:
    by_name = {stage.name: stage for stage in stages}
    parts = []
    for n, name in enumerate(names):
        if n:
            parts.append(_edge(_x(column + n) - GAP, y, _x(column + n), y))
        parts.append(_node(name, by_name.get(name), _x(column + n), y))
    return parts


def _node(name: str, stage: Stage | None, x: float, y: float) -> Markup:
    outcome = stage.outcome.replace(" ", "-") if stage is not None else "not-run"
    symbol = OUTCOME_SYMBOLS[stage.outcome] if stage is not None else ""
    took = _took(stage)
    rows = f"{count(stage.rows)} rows" if stage is not None and stage.rows is not None else ""
    return element(
        "g",
        element("title", _sentence(name, stage)),
        element("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=7),
        element("text", name, x=x + 12, y=y + 22, class_="name"),
        element("text", symbol, x=x + WIDTH - 11, y=y + 22, class_="mark", text_anchor="end"),
        element("text", took, x=x + 12, y=y + 40),
        element("text", rows, x=x + 12, y=y + 55),
        class_=f"stage {outcome}",
    )


def _took(stage: Stage | None) -> str:
    if stage is None:
        return "not run"
    return str(stage.outcome) if stage.outcome is Outcome.SKIPPED else seconds(stage.seconds)


def _edge(x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A curve from the right side of one node to the left side of another."""
    y1, y2, bend = y1 + HEIGHT / 2, y2 + HEIGHT / 2, (x2 - x1) / 2
    curve = (
        f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    )
    return element("path", d=curve, class_="edge")


def _x(column: int) -> float:
    return 1 + column * (WIDTH + GAP)


def _sentence(name: str, stage: Stage | None) -> str:
    if stage is None:
        return f"{name}: not run"
    rows = f", {count(stage.rows)} rows" if stage.rows is not None else ""
    note = f". {stage.note}" if stage.note else ""
    took = f", {seconds(stage.seconds)}" if stage.seconds > 0 else ""
    return f"{name}: {stage.outcome}{took}{rows}{note}"


def _described(record: RunRecord) -> str:
    shared = [_sentence(s.name, s) for s in record.stages]
    own = [f"{t.tenant}: {_sentence(s.name, s)}" for t in record.tenants for s in t.stages]
    return "; ".join([*shared, *own])
