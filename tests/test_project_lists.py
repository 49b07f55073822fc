"""Lists made side by side: the same as one after the other."""

from __future__ import annotations

import numpy as np

from serve_shop import IDS, answerer
from wherry.learn.answer import Query
from wherry.project.lists import Session, make

RNG = np.random.default_rng(4)
SESSIONS: list[Session] = [
    (tuple(RNG.integers(0, 40, RNG.integers(1, 6)).tolist()), (0,)) for _ in range(700)
]


def test_lists_made_by_several_threads_are_those_of_a_loop() -> None:
    shop = answerer(hide_purchased=True)
    told: list[str] = []
    made = make(shop, SESSIONS, 5, workers=3, now=0, report=told.append)
    assert len(told) == 3
    assert told[-1].startswith("700 of 700 lists")
    for row, (codes, _) in enumerate(SESSIONS):
        session = [IDS[code] for code in codes]
        alone = shop.answer(Query(session=session, k=5, purchased=session[:1]))
        assert made.answers.items[row].tolist() == alone.items.tolist()
        run = slice(made.lists.session_offsets[row], made.lists.session_offsets[row + 1])
        assert tuple(made.lists.session_items[run].tolist()) == codes
        assert made.lists.bought[run].tolist() == [True] + [False] * (len(codes) - 1)


def test_without_sessions_there_are_no_lists() -> None:
    made = make(answerer(), [], 5, workers=2, now=0, report=lambda words: None)
    assert made.lists.items.shape[0] == made.answers.items.shape[0] == 0
