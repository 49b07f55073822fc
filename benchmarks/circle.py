"""Does the guard's verdict agree with the true effect of a release, in the closed circle?

    python benchmarks/circle.py [--runs 200] [--visitors 4000] [--results FILE]

Shoppers who answer to what they are shown (docs/shoppers.md) visit a simulated shop. Half of
them see the challenger, drawn as the server draws them, and the guard judges after every 50. In
one world the challenger is the champion itself; in the other, on some pages it shows what is
popular instead, as often as makes its true click-through a fifth worse. What is true is measured
beforehand, by sending one crowd to both.

A list counts as clicked where the shopper clicked on it, which is the truth that is known here.

With ``--results`` each run's end is appended to a file, and runs that it holds are not made
again: what was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from math import sqrt
from pathlib import Path
from zlib import crc32

import duckdb
import msgspec
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


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: after how many visitors it was stopped (0: never), and whether it had
    been found better before. ``lift`` is the true effect of what was tried."""

    world: str
    seed: int
    visitors: int
    lift: float
    stopped_after: int
    found_better: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--visitors", type=int, default=4_000, help="of a run, at the most")
    parser.add_argument("--results", type=Path, help="a file of runs that are done, added to")
    options = parser.parse_args()
    done = read_runs(options.results, options.visitors)
    with tempfile.TemporaryDirectory() as name:
        shop, sessions = make_shop(Path(name))
    champion, popular = (asking(m.fit(sessions, seed=1)) for m in (Rules(), Popularity()))
    worse, lift = make_worse(shop, champion, popular)
    print(f"{options.runs} runs of {options.visitors:,} visitors at the most, half to each release")
    for world, challenger, true in (("the same", champion, 0.0), ("worse", worse, lift)):
        found: list[Run] = []
        for seed in range(options.runs):
            one = done.get((world, seed))
            if one is None:
                after, is_better = run(shop, champion, challenger, seed, options.visitors)
                one = Run(world=world, seed=seed, visitors=options.visitors, lift=true,
                          stopped_after=after, found_better=is_better)  # fmt: skip
                append_run(options.results, one)
            elif abs(one.lift - true) > 1e-9:
                sys.exit(f"{options.results} has runs of another effect ({one.lift:+.1%}): "
                         "give another file")  # fmt: skip
            found.append(one)
            if not (seed + 1) % 10:
                print(
                    f"\r{world}: {seed + 1} of {options.runs}", end="", file=sys.stderr, flush=True
                )
        print("\r", end="", file=sys.stderr, flush=True)
        print(told(world, true, found), flush=True)


def read_runs(path: Path | None, visitors: int) -> dict[tuple[str, int], Run]:
    """The runs of so many visitors that a file holds; a last line that was cut off is left."""
    if path is None or not path.exists():
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    found = (msgspec.json.decode(line, type=Run) for line in whole.splitlines())
    return {(each.world, each.seed): each for each in found if each.visitors == visitors}


def append_run(path: Path | None, one: Run) -> None:
    """Add a run that is done to the file."""
    if path is not None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")


def told(world: str, lift: float, found: Sequence[Run]) -> str:
    """A world's rates, with 95% intervals."""
    stopped = [each.stopped_after for each in found if each.stopped_after]
    after = ""
    if stopped:
        median, late = np.quantile(stopped, (0.5, 0.9))
        after = f", after {median:,.0f} visitors in the median, nine in ten by {late:,.0f}"
    better = sum(each.found_better for each in found)
    return (
        f"{world:9} true effect {lift:+.1%}: stopped {share(len(stopped), len(found))}{after}; "
        f"found better {share(better, len(found))}"
    )


def share(part: int, whole: int) -> str:
    """A share with Wilson's 95% interval."""
    z = 1.959964
    middle = (part + z * z / 2) / (whole + z * z)
    half = z * sqrt(part * (whole - part) / whole + z * z / 4) / (whole + z * z)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return f"{part} of {whole} ({part / whole:.1%}, {low:.1%} to {high:.1%})"


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
