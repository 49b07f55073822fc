"""Lists: what a recommender answers for every known visitor, or for every item, computed side by
side on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from wherry.domain import TenantId
from wherry.learn.answer import Answerer
from wherry.learn.bulk import Answers, answers, heads
from wherry.learn.filling import SPARE
from wherry.learn.questions import Questions, Rankings
from wherry.serve.precomputed import Lists

Report = Callable[[str], None]

_AT_ONCE = 256
"""Lists that a thread makes in one task."""

_LATEST = """
WITH mine AS (
    SELECT visitor_id, session_id, item_id, event_type, occurred_at, event_id, position
    FROM lake.marts.interactions
    WHERE tenant = $tenant AND visitor_id <> ''
      AND occurred_at >= (
          SELECT CASE WHEN $days = 0 THEN TIMESTAMP '0001-01-01'
                      ELSE max(occurred_at) - to_days($days) END
          FROM lake.marts.interactions WHERE tenant = $tenant)
), latest AS (
    SELECT visitor_id,
           arg_max(session_id, {'at': occurred_at, 'event': event_id}) AS session_id
    FROM mine GROUP BY visitor_id
)
SELECT visitor_id,
       list(item_id ORDER BY occurred_at, event_id, position) AS items,
       list(event_type = 'purchase' ORDER BY occurred_at, event_id, position) AS bought
FROM mine JOIN latest USING (visitor_id, session_id)
GROUP BY visitor_id ORDER BY visitor_id
"""

_KNOWN = "SELECT DISTINCT visitor_id FROM lake.marts.interactions WHERE tenant = ?"

Session = tuple[tuple[int, ...], tuple[int, ...]]
"""A session by its items' numbers, the latest last, and the places of those that were bought."""


class Keyed(NamedTuple):
    """Keys, and for each the row of its session among the distinct ones."""

    keys: list[str]
    rows: list[int]
    sessions: list[Session]


class Made(NamedTuple):
    """Lists for sessions, and the answers that come of them."""

    lists: Lists
    answers: Answers


def visitors(
    con: duckdb.DuckDBPyConnection, answerer: Answerer, tenant: TenantId, *, days: int, longest: int
) -> Keyed:
    """Every visitor of the latest ``days`` (0: all) with the latest ``longest`` items of the
    latest session, where the model knows any of them."""
    found = Keyed([], [], [])
    known: dict[Session, int] = {}
    codes = answerer.vocabulary.code
    reader = con.execute(_LATEST, {"tenant": tenant, "days": days}).to_arrow_reader(10_000)
    for batch in reader:
        for visitor, items, bought in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            pairs = [
                (code, is_bought)
                for code, is_bought in zip(map(codes, items), bought, strict=True)
                if code is not None
            ][-longest:]
            if not pairs:
                continue
            places = tuple(p for p, (_, is_bought) in enumerate(pairs) if is_bought)
            session = (
                tuple(code for code, _ in pairs),
                places if answerer.hide_purchased else (),
            )
            found.keys.append(visitor)
            found.rows.append(known.setdefault(session, len(known)))
    return found._replace(sessions=list(known))


def items(answerer: Answerer) -> Keyed:
    """Every item of the vocabulary, each as a session of its own."""
    codes = range(len(answerer.vocabulary))
    return Keyed(list(answerer.vocabulary.ids), list(codes), [((code,), ()) for code in codes])


def make(
    answerer: Answerer,
    sessions: Sequence[Session],
    k: int,
    *,
    workers: int,
    now: int,
    report: Report,
) -> Made:
    """Compute every session's list and answer. ``now``, milliseconds UTC, is when they are asked
    for: rules with dates hold by it.

    Threads rank side by side, many sessions a call: the loops of the packaged models run without
    the interpreter's lock. What is shown of a ranking is found in the thread that asked, since
    that is mostly Python, for whose lock the others would wait.
    """
    questions, bought = _asked(sessions)
    found = Rankings.room(questions.size, k + SPARE)
    made = Answers.room(questions.size, k)
    bounds = [*range(0, questions.size, _AT_ONCE), questions.size]
    with ThreadPoolExecutor(workers) as pool:
        tasks = {
            pool.submit(heads, answerer, questions.part(*run), k, now=now): run
            for run in pairwise(bounds)
        }
        try:
            for done in _counted(tasks, report, questions.size):
                start, stop = tasks[done]
                part, ranked = questions.part(start, stop), done.result()
                marks = bought[questions.offsets[start] : questions.offsets[stop]]
                found.items[start:stop], found.scores[start:stop] = ranked
                made.put(start, answers(answerer, part, marks, ranked, k, now=now))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Made(Lists(*found, questions.offsets, questions.items, bought), made)


def _asked(sessions: Sequence[Session]) -> tuple[Questions, NDArray[np.bool_]]:
    """Sessions as arrays, and which of their items were bought."""
    offsets = np.zeros(len(sessions) + 1, dtype=np.int64)
    np.cumsum([len(codes) for codes, _ in sessions], out=offsets[1:])
    flat = np.array([code for codes, _ in sessions for code in codes], dtype=np.int32)
    bought = np.zeros(len(flat), dtype=np.bool_)
    for row, (_, places) in enumerate(sessions):
        if places:
            bought[offsets[row] + np.array(places, dtype=np.int64)] = True
    return Questions(flat, offsets), bought


def _counted(
    tasks: Iterable[Future[Rankings]], report: Report, n: int
) -> Iterator[Future[Rankings]]:
    began, count = perf_counter(), 0
    for done in as_completed(tasks):
        yield done
        count = min(count + _AT_ONCE, n)
        rate = count / (perf_counter() - began)
        report(f"{count:,} of {n:,} lists, {rate:,.0f} a second")


def still_known(con: duckdb.DuckDBPyConnection, tenant: TenantId, keyed: Keyed) -> Keyed:
    """The keys without visitors who were forgotten since they were read."""
    known = {visitor for (visitor,) in con.execute(_KNOWN, [tenant]).fetchall()}
    pairs = [pair for pair in zip(keyed.keys, keyed.rows, strict=True) if pair[0] in known]
    return Keyed([key for key, _ in pairs], [row for _, row in pairs], keyed.sessions)
