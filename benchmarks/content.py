"""What texts add for items without a history, on a shop's real baskets.

    python benchmarks/content.py --data DATA [--cuts 0.75 0.85 0.92] [--baskets 1000]

Reads ``online_retail_ii`` (UCI Online Retail II, CC BY 4.0): baskets by invoice, in the order of
their time, with the items' descriptions. At each cut, everything before it is trained on and
calibrated on, just as a run does; baskets of the next twentieth are asked about, each time for
the next line from all before it, 20 items an answer. Cold targets are items in fewer than 5 baskets
before the cut. Each row is the answer with content beside the one without, from the same model;
± is the standard error over baskets. Then the time of one answer with and without.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wherry.learn.answer import Answerer, Query
from wherry.learn.choice import choose
from wherry.learn.dataset import Dataset
from wherry.learn.fit import assemble, fit
from wherry.learn.instances import Instances
from wherry.learn.knn import SessionKNN
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.places import learn_recipe
from wherry.learn.plan import test_instances
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.learn.split import split

SEED = 1
K = 20
FEWER_THAN = 5
WIDTH = 0.05
"""Share of all baskets that are asked about after a cut."""
LONGEST = 40
"""Lines of a basket that are asked about: wholesale orders run to a thousand."""

_LINES = """
WITH lines AS (
    SELECT *, row_number() OVER () AS line FROM read_parquet($first)
    WHERE invoice_ts < TIMESTAMP '2010-12-01'
    UNION ALL SELECT *, row_number() OVER () AS line FROM read_parquet($second)
)
SELECT invoice, upper(trim(stock_code)) AS item_id, min(trim(description)) AS name,
       epoch_ms(min(invoice_ts)::TIMESTAMP) AS time
FROM lines
WHERE quantity > 0 AND regexp_matches(invoice, '^[0-9]') AND regexp_matches(stock_code, '^[0-9]{5}')
GROUP BY ALL ORDER BY time, invoice, min(line)
"""


def read_baskets(folder: Path) -> tuple[Dataset, pa.Table]:
    """All baskets of two items or more, and the items with what they are called most often."""
    years = sorted(str(path) for path in folder.glob("year*.parquet"))
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE lines AS {_LINES}", {"first": years[0], "second": years[1]})
        items = con.execute(
            "SELECT item_id, mode(name) AS name, true AS in_catalogue FROM lines "
            "GROUP BY item_id ORDER BY item_id"
        ).to_arrow_table()
        lines = con.execute(
            "SELECT dense_rank() OVER (ORDER BY invoice) AS basket, dense_rank() OVER "
            "(ORDER BY item_id) - 1 AS item, time FROM lines ORDER BY rowid"
        ).fetchnumpy()
    vocabulary = Vocabulary(items["item_id"].to_pylist())
    sessions = Sessions.from_events(
        lines["basket"], lines["item"], lines["time"], n_items=len(vocabulary)
    )
    return Dataset(vocabulary, sessions.take(sessions.lengths > 1)), items


def learned_items(known: Dataset, sessions: Sessions) -> Dataset:
    """Sessions in a vocabulary of their own items, as a run reads them from the log."""
    met = np.unique(sessions.items)
    codes = np.full(sessions.n_items, -1)
    codes[met] = np.arange(len(met))
    own = msgspec.structs.replace(
        known, vocabulary=Vocabulary(known.vocabulary.ids[c] for c in met)
    )
    renumbered = Sessions(
        sessions.offsets, codes[sessions.items], sessions.times, sessions.types, len(met)
    )
    return msgspec.structs.replace(own, sessions=renumbered)


def answerers(train: Dataset, items: pa.Table, places: int) -> dict[str, Answerer]:
    """One model, with content and without."""
    window = split(train.sessions, test_fraction=0.1)
    choice = choose(SessionKNN, window, seed=SEED, max_sessions=300)
    asked = test_instances(window, max_sessions=1000, seed=SEED)
    model = fit(SessionKNN, choice.params, window.train, seed=SEED)
    answers = evaluate(model, asked, popularity=window.train.item_counts())
    made = {}
    for name, fewer_than in (("without", 0), ("with", FEWER_THAN)):
        started = time.perf_counter()
        recipe = learn_recipe(
            train, items, window, asked, answers, fewer_than=fewer_than, places=places
        )
        if recipe is not None:
            print(f"thresholds learned in {time.perf_counter() - started:.1f} s:", end="")
            print("".join(f" {each:.2f}" for each in recipe.thresholds))
        made[name] = assemble(
            train, items, "knn", choice.params, seed=SEED, own={}, hide_purchased=False,
            content=recipe,
        )  # fmt: skip
    return made


def ask(answerer: Answerer, known: Dataset, asked: Instances) -> NDArray[np.int64]:
    """The place of each target in the answer, from 1; 0 where it is not shown."""
    ids = known.vocabulary.ids
    places = np.zeros(len(asked), dtype=np.int64)
    for i in range(len(asked)):
        answer = answerer.answer(Query([ids[code] for code in asked.prefix(i)], K))
        target = answerer.vocabulary.code(ids[asked.targets[i]])
        at = np.flatnonzero(answer.items == (-1 if target is None else target))
        places[i] = at[0] + 1 if len(at) else 0
    return places


def judged(asked: Instances, places: NDArray[np.int64], mask: NDArray[np.bool_]) -> Evaluation:
    """Those places as an evaluation, for its figures and intervals."""
    none = np.full((len(asked), 1), -1)
    whole = Evaluation(
        asked.sessions, asked.lengths, asked.targets, places, none, np.zeros(0, dtype=np.float32)
    )
    return whole.restrict(mask)


def told(evaluation: Evaluation, metric: str, than: Evaluation | None = None) -> str:
    estimate = evaluation.estimate(metric) if than is None else evaluation.difference(than, metric)
    error = (estimate.high - estimate.low) / 3.92  # a 95% interval is 3.92 standard errors wide
    return f"{100 * estimate.value:{'+' if than else ''}8.2f} ±{100 * error:5.2f}"


def median_microseconds(work: Callable[[int], object], n: int) -> float:
    taken = np.empty(n)
    for place in range(n):
        started = time.perf_counter()
        work(place)
        taken[place] = time.perf_counter() - started
    return float(np.median(taken) * 1e6)


def at_cut(known: Dataset, items: pa.Table, cut: float, baskets: int, places: int) -> None:
    sessions = known.sessions
    n = len(sessions)
    first, last = int(cut * n), int((cut + WIDTH) * n)
    train = learned_items(known, sessions.take(np.arange(first)))
    rng = np.random.default_rng(SEED)
    after = sessions.take(first + rng.choice(last - first, min(baskets, last - first), False))
    asked = Instances.of(after)
    short = np.flatnonzero(asked.lengths < LONGEST)
    asked = Instances(
        items=asked.items, starts=asked.starts[short], stops=asked.stops[short],
        targets=asked.targets[short], sessions=asked.sessions[short], times=asked.times[short],
    )  # fmt: skip
    counts = np.bincount(sessions.items[: sessions.offsets[first]], minlength=sessions.n_items)
    is_cold = counts < FEWER_THAN
    cold = is_cold[asked.targets]
    unheard = np.array([(counts[asked.prefix(i)] == 0).all() for i in range(len(asked))])
    print(
        f"\ncut at {cut:.0%}, {first:,} baskets before it, {is_cold.sum():,} cold items; ", end=""
    )
    print(f"{len(asked):,} questions of {len(np.unique(asked.sessions)):,} baskets")
    made = answerers(train, items, places)
    found = {name: ask(each, known, asked) for name, each in made.items()}
    for what, mask in (
        ("all targets", np.ones(len(asked), dtype=np.bool_)),
        ("cold targets", cold),
        ("other targets", ~cold),
        ("nothing known in the session", unheard),
    ):
        with_, without = (judged(asked, found[name], mask) for name in ("with", "without"))
        print(f"{what:30}{mask.sum():7,}", end="")
        for metric in ("hr@20", "mrr@20"):
            print(f"  {metric}{told(without, metric)} →{told(with_, metric)}", end="")
            print(f" ({told(with_, metric, without).strip()})", end="")
        print()
    ids = known.vocabulary.ids
    queries = [Query([ids[c] for c in asked.prefix(i)], K) for i in range(min(2000, len(asked)))]
    p50 = {
        name: median_microseconds(lambda i, each=each: each.answer(queries[i]), len(queries))
        for name, each in made.items()
    }
    print(f"one answer, median: {p50['without']:.0f} µs without, {p50['with']:.0f} µs with content")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cuts", type=float, nargs="+", default=[0.75, 0.85, 0.92])
    parser.add_argument("--baskets", type=int, default=1000)
    parser.add_argument("--places", type=int, default=1)
    options = parser.parse_args()
    known, items = read_baskets(options.data / "online_retail_ii")
    print(
        f"{len(known.sessions):,} baskets, {known.sessions.n_events:,} lines, {len(items):,} items"
    )
    for cut in options.cuts:
        at_cut(known, items, cut, options.baskets, options.places)


if __name__ == "__main__":
    main()
