"""implicit's item-to-item neighbours and its ALS, with a session as the user.

BM25 has implicit's defaults, and so has the ALS, but for 64 factors in place of 100. Iterations are
the budget's epochs. A session's factors are calculated from its prefix, as for any new user.
"""

from __future__ import annotations

import time

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from rival import SEED, Budget, Prefix, Scores, Told, run
from scipy import sparse


def matrix(sessions: list[Prefix], n_items: int) -> sparse.csr_matrix:
    """Sessions × items, how often each was met."""
    owner = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    items = np.concatenate(sessions)
    ones = np.ones(len(items), dtype=np.float32)
    # The constructor adds up what stands in one place.
    return sparse.csr_matrix((ones, (owner, items)), shape=(len(sessions), n_items))


class BM25:
    def fit(self, told: Told, budget: Budget) -> str:
        self._n_items = told.n_items
        self._model = BM25Recommender(K=20)
        self._model.fit(matrix(told.sessions, told.n_items), show_progress=False)
        return "counted, K = 20"

    def score(self, prefixes: list[Prefix]) -> Scores:
        rows = (matrix(prefixes, self._n_items) @ self._model.similarity).toarray()
        return np.where(rows > 0, rows, -np.inf).astype(np.float32)


class ALS:
    def fit(self, told: Told, budget: Budget) -> str:
        self._n_items = told.n_items
        self._model = AlternatingLeastSquares(
            factors=64, iterations=budget.epochs, random_state=SEED
        )
        self._done, since = 0, time.process_time()

        def after(iteration: int, *_: float) -> None:
            self._done = iteration + 1
            if time.process_time() - since >= budget.seconds:
                raise TimeoutError

        try:
            self._model.fit(
                matrix(told.sessions, told.n_items), show_progress=False, callback=after
            )
        except TimeoutError:
            return f"{self._done} of {budget.epochs} iterations, CUT OFF by the budget"
        return f"{self._done} iterations"

    def score(self, prefixes: list[Prefix]) -> Scores:
        told = matrix(prefixes, self._n_items)
        factors = self._model.recalculate_user(np.arange(len(prefixes)), told)
        return np.asarray(factors @ self._model.item_factors.T, dtype=np.float32)


if __name__ == "__main__":
    run({"bm25": BM25, "als": ALS})
