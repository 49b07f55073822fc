"""Does the guard's verdict agree with the true effect of a release, in the closed circle?

    python benchmarks/circle.py [--runs 200] [--visitors 4000]

Shoppers who answer to what they are shown (docs/shoppers.md) visit a simulated shop. Half of
them see the challenger, drawn as the server draws them, and the guard judges after every 50. In
one world the challenger is the champion itself; in the other, on some pages it shows what is
popular instead, as often as makes its true click-through a fifth worse. What is true is measured
beforehand, by sending one crowd to both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from zlib import crc32

import duckdb
import numpy as np

from wherry.domain import DEFAULT_TENANT, Mode, Rollout
from wherry.domain.rollout import unit_of
from wherry.learn.model import Model
from wherry.learn.popularity import Popularity
from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions
from wherry.simulate import measure_effect, open_shop, simulate
from wherry.simulate.catalogue import Catalogue
from wherry.watch import Bounds, Part, Parts, Ruling, judge
from wherry.watch.sequential import Tally

EVENTS, DAYS, K = 300_000, 30, 10
LOOK_EVERY = 50
WORSE = 0.2
CROWD = 20_000
"""Visits by which the true effect is measured."""

Ask = Callable[[Sequence[int]], Sequence[int]]

_VIEWS = """
SELECT visitor_id, epoch_ms(occurred_at) AS ms, substr(item_id, 2)::INTEGER AS item
FROM read_parquet($files) WHERE event_type = 'view' ORDER BY visitor_id, ms
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--visitors", type=int, default=4_000, help="of a run, at the most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        shop, sessions = make_shop(Path(name))
    champion, popular = (asking(m.fit(sessions, seed=1)) for m in (Rules(), Popularity()))
    worse, lift = make_worse(shop, champion, popular)
    print(f"{options.runs} runs of {options.visitors:,} visitors at the most, half to each release")
    for name, challenger, true in (("the same", champion, 0.0), ("worse", worse, lift)):
        found = [run(shop, champion, challenger, seed, options.visitors)
                 for seed in range(options.runs)]  # fmt: skip
        stopped = [after for after, _ in found if after]
        better = sum(is_better for _, is_better in found)
        after = f", after {np.median(stopped):,.0f} visitors in the median" if stopped else ""
        print(
            f"{name:9} true effect {true:+.1%}: stopped {len(stopped) / len(found):.1%}{after}; "
            f"found better {better / len(found):.1%}",
            flush=True,
        )


def make_shop(folder: Path) -> tuple[Catalogue, Sessions]:
    """A shop, and what its visitors did before."""
    made = simulate(folder, events=EVENTS, seed=1, start=datetime(2026, 1, 1), days=DAYS)
    files = [str(path) for path in made.files]
    with duckdb.connect() as con:
        rows = con.execute(_VIEWS, {"files": files}).fetchnumpy()
    visitor = np.unique(rows["visitor_id"].astype(str), return_inverse=True)[1]
    is_new = (np.diff(visitor) != 0) | (np.diff(rows["ms"]) > 1_800_000)
    codes = np.concatenate(([0], np.cumsum(is_new)))
    sessions = Sessions.from_events(
        codes, rows["item"].astype(np.int32), rows["ms"], n_items=made.items
    )
    return open_shop(folder).catalogue, sessions.take(sessions.lengths >= 2)


def asking(model: Model) -> Ask:
    def ask(session: Sequence[int]) -> Sequence[int]:
        found: list[int] = model.recommend(
            np.array(session[-50:], dtype=np.int32), K
        ).items.tolist()
        return found

    return ask


def make_worse(shop: Catalogue, champion: Ask, popular: Ask) -> tuple[Ask, float]:
    """The champion with what is popular on some pages, and its true effect."""
    began = time.perf_counter()
    good, bad = (measure_effect(shop, ask, visits=CROWD, seed=0) for ask in (champion, popular))
    share = WORSE * good.click_through / (good.click_through - bad.click_through)

    def ask(session: Sequence[int]) -> Sequence[int]:
        # The same visit sees the same: chance is made of the visit itself.
        chance = crc32(np.array(session, dtype=np.int32).tobytes()) / 2**32
        return (popular if chance < share else champion)(session)

    for _ in range(2):  # on such pages visitors also do less that is clicked later
        true = measure_effect(shop, ask, visits=CROWD, seed=0)
        lift = true.click_through / good.click_through - 1
        share *= 1 if abs(lift + WORSE) < 0.01 else -WORSE / lift
    print(
        f"{CROWD:,} visits each: champion {good.click_through:.2%} ± {good.error():.2%}, popular "
        f"{bad.click_through:.2%}, worse {true.click_through:.2%} ± {true.error():.2%} "
        f"({lift:+.1%}), in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return ask, lift


def run(
    shop: Catalogue, champion: Ask, challenger: Ask, seed: int, visitors: int
) -> tuple[int, bool]:
    """Send visitors until the guard stops the challenger: after how many (0: it never did), and
    whether it had found it better before."""
    rollout = Rollout(
        rollout_id=f"run-{seed}", tenant=DEFAULT_TENANT, mode=Mode.AB, version=2, share=0.5,
        started_at=datetime(2026, 1, 1),
    )  # fmt: skip
    sums, is_better = np.zeros((2, 6)), False
    for number in range(0, visitors, LOOK_EVERY):
        for visitor in range(number, number + LOOK_EVERY):
            tried = rollout.draws(unit_of(f"visitor-{visitor}", None, ""))
            effect = measure_effect(
                shop, challenger if tried else champion, visits=1, seed=seed * 100_000 + visitor + 1
            )
            a, m = float(effect.shown[0]), float(effect.clicks[0])
            sums[int(tried)] += (1, a, m, a * a, a * m, m * m)
        theirs, mine = (Part(clicks=Tally(int(each[0]), *each[1:].tolist())) for each in sums)
        ruling = judge(Parts(mine, theirs, {}), rollout, Bounds()).ruling
        is_better = is_better or ruling is Ruling.BETTER
        if ruling is Ruling.STOP:
            return number + LOOK_EVERY, is_better
    return 0, is_better


if __name__ == "__main__":
    main()
