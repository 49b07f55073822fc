"""The two-stage model: candidates from the retrievers, put in order by boosted trees.

The trees are LightGBM's, fitted with LambdaMART (Burges, "From RankNet to LambdaRank to
LambdaMART", 2010). LightGBM is the extra ``wherry[rank]``: a fit needs it, an answer does not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.errors import ModelError
from wherry.learn.explanation import Carrier, Explanation, Part, heaviest_first
from wherry.learn.features import FEATURES
from wherry.learn.instances import Instances
from wherry.learn.model import ModelFile
from wherry.learn.neural import GRU4Rec, Network, SASRec
from wherry.learn.ranking import Ranking, spread_out, top, top_of
from wherry.learn.retrieval import Retrieval
from wherry.learn.sessions import Sessions
from wherry.learn.shapley import Covers, contributions
from wherry.learn.space import Range, Space
from wherry.learn.trees import Trees, add_up

_DEFAULTS: Params = {
    "candidates": 60,
    "questions": 20_000,
    "windows": 4,
    "tail": 0.2,
    "trees": 200,
    "leaves": 31,
    "rate": 0.06,
    "neural": "",
}

NEURAL = ("neural", "neural_of_best", "neural_share")
"""What a neural retriever says of an item: ln of its share, the same against the best item's,
and the share."""

_FEWEST_QUESTIONS = 20
"""With fewer there is nothing to learn an order from: the first stage answers alone."""


class TwoStage:
    """Takes the best candidates of the session kNN and co-visitation, and reorders them.

    1. The first stage is :class:`wherry.learn.blend.Blend` as it is by default.
    2. The ``candidates`` best are described by :data:`wherry.learn.features.FEATURES` and put in
       order by ``trees`` of ``leaves`` leaves; the others follow in the first stage's order.

    The trees are fitted on ``questions`` prefixes from the last ``tail`` of the sessions, in
    ``windows`` equal parts: those of each part are put to retrievers that know only the
    sessions before it. The retrievers that answer then know all sessions.

    ``neural`` names a neural model (``gru4rec``, ``sasrec``) that retrieves as well, and whose
    shares are features. The trees are grown on one that knows only the sessions before the tail.
    """

    name: ClassVar[str] = "twostage"
    grid: ClassVar[tuple[Params, ...]] = (_DEFAULTS,)
    space: ClassVar[Space] = {
        "trees": Range(50, 400, log=True),
        "leaves": Range(7, 63, log=True),
        "rate": Range(0.02, 0.2, log=True),
    }

    def __init__(
        self,
        *,
        candidates: int = 60,
        questions: int = 20_000,
        windows: int = 4,
        tail: float = 0.2,
        trees: int = 200,
        leaves: int = 31,
        rate: float = 0.06,
        neural: str = "",
    ) -> None:
        if candidates < 1 or windows < 1 or not 0 < tail < 1:
            raise ModelError(
                f"twostage was given candidates={candidates}, windows={windows} and tail={tail}; "
                "the first two must be above 0, the tail between 0 and 1."
            )
        self.candidates, self.questions = candidates, questions
        self.windows, self.tail = windows, tail
        if neural and neural not in _NETWORKS:
            raise ModelError(
                f"twostage was given neural={neural!r}; there are {', '.join(_NETWORKS)}."
            )
        self.trees, self.leaves, self.rate = trees, leaves, rate
        self.neural = neural
        self._network: Network | None = None
        self._checkpoint: Path | None = None
        self._stage: Retrieval | None = None
        self._text = ""
        self._trees: Trees | None = None

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {name: getattr(self, name) for name in _DEFAULTS}

    @property
    def tolerance(self) -> float:
        """By which share metrics may differ on another machine: 0 without a neural model."""
        return _NETWORKS[self.neural].tolerance if self.neural else 0.0

    def checkpoint_in(self, folder: Path) -> None:
        """Keep the state of the neural model's training in a folder, to go on from there."""
        self._checkpoint = folder

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Fit the trees on the tail of the sessions, then the retrievers on all of them.

        Raises:
            ModelError: LightGBM is not installed, or JAX where ``neural`` needs it.
        """
        groups = self._questions(sessions, seed)
        stage = Retrieval.fit(sessions)
        network = self._train(sessions, seed, "all")
        if len(groups) < _FEWEST_QUESTIONS:
            return self._know(stage, network, "")
        return self._know(stage, network, self._grow(groups, seed))

    def _train(self, sessions: Sessions, seed: int, name: str) -> Network | None:
        """The neural model, fitted; None where none is asked for."""
        if not self.neural:
            return None
        network = _NETWORKS[self.neural]()
        if self._checkpoint is not None:
            network.checkpoint_in(self._checkpoint / name)
        return network.fit(sessions, seed=seed)

    def _questions(self, sessions: Sessions, seed: int) -> list[_Group]:
        """The candidates of prefixes whose next item is among them, with their features."""
        cuts = np.linspace(1 - self.tail, 1, self.windows + 1) * len(sessions)
        groups: list[_Group] = []
        network = self._train(sessions.take(np.arange(int(cuts[0]))), seed, "before")
        for start, stop in zip(cuts.astype(int)[:-1], cuts.astype(int)[1:], strict=True):
            places = np.arange(stop)
            if start == 0 or start == stop:
                continue
            stage = Retrieval.fit(sessions.take(places[:start]))
            asked = Instances.of(sessions.take(places[start:]))
            order = np.random.default_rng(seed).permutation(len(asked))
            for i in np.sort(order[: self.questions // self.windows]):
                items, _, rows = describe(stage, network, asked.prefix(i), self.candidates)
                hits = items[: len(rows)] == asked.targets[i]
                if hits.any():
                    groups.append(_Group(rows, hits))
        return groups

    def _grow(self, groups: list[_Group], seed: int) -> str:
        lightgbm = _lightgbm()
        rows = np.concatenate([group.rows for group in groups])
        data = lightgbm.Dataset(
            rows,
            label=np.concatenate([group.hits for group in groups]),
            group=[len(group.rows) for group in groups],
            feature_name=[*FEATURES, *NEURAL][: rows.shape[1]],
            params={"verbose": -1, "max_bin": 255},
        )
        settings = {
            "objective": "lambdarank",
            "lambdarank_truncation_level": 20,
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": min(100, max(len(rows) // 100, 1)),
            "feature_fraction": 0.7,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # candidates are fitted side by side already
            "verbose": -1,
        }
        return str(lightgbm.train(settings, data, self.trees).model_to_string())

    def _know(self, stage: Retrieval, network: Network | None, text: str) -> Self:
        self._stage, self._network, self._text = stage, network, text
        self._trees = Trees.parse(text) if text else None
        return self

    @property
    def _fitted(self) -> Retrieval:
        if self._stage is None:
            raise ModelError("This twostage is not fitted; call fit or load first.")
        return self._stage

    def _scored(self, session: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """What the first stage retrieves, once each, the candidates with the trees' scores."""
        items, scores, rows = describe(self._fitted, self._network, session, self.candidates)
        if self._trees is None:
            is_scored = scores > 0
            return items[is_scored], scores[is_scored]
        reordered = add_up(self._trees, rows)
        rest = scores[len(rows) :]
        floor = reordered.min() - 1 - rest.max(initial=0)
        return items, np.concatenate((reordered, rest + floor)).astype(np.float32)

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The order as numbers, ``-inf`` for items not retrieved; see :class:`Model`."""
        return spread_out(*self._scored(session), self._fitted.n_items)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of the items retrieved; see :class:`Model`."""
        return top_of(*self._scored(session), k)

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """What the trees make of each feature, and what the retrievers say of it.

        The weights of an item beyond the candidates are those of the first stage.
        """
        stage, network = self._fitted, self._network
        told = stage.explain(session, items)
        if network is not None:
            shares = _shares(network.logits(session))
            told = [_with_share(each, float(shares[each.item])) for each in told]
        if self._trees is None:
            return told
        found, _, rows = describe(stage, network, session, self.candidates)
        places = {item: place for place, item in enumerate(found[: len(rows)].tolist())}
        chosen = rows[[places[each.item] for each in told if each.item in places]]
        added = iter(contributions(self._trees, Covers.parse(self._text, self._trees), chosen))
        values = iter(chosen)
        return [
            _reordered(each, next(values), next(added)) if each.item in places else each
            for each in told
        ]

    def save(self, folder: Path) -> None:
        """Write ``model.json``, ``trees.txt`` of LightGBM's, and the retrievers' folders."""
        ModelFile(self.name, self.params).save(folder)
        self._fitted.save(folder)
        (folder / "trees.txt").write_text(self._text, encoding="utf-8")
        if self._network is not None:
            self._network.save(folder / "neural")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        try:
            text = (folder / "trees.txt").read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{folder / 'trees.txt'}: {error}. Fit the model again.") from error
        network = _NETWORKS[model.neural].load(folder / "neural") if model.neural else None
        return model._know(Retrieval.load(folder), network, text)


_NETWORKS: dict[str, type[Network]] = {each.name: each for each in (GRU4Rec, SASRec)}


def describe(
    stage: Retrieval, network: Network | None, session: NDArray[np.int32], candidates: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """What the retrievers find for a session: items, scores, and features of the best.

    The columns are :data:`wherry.learn.features.FEATURES`, then :data:`NEURAL` where there is
    a network.
    """
    if network is None:
        return stage.describe(session, candidates)
    logits = network.logits(session)
    best = logits.max()
    shares = np.exp(logits - best)
    total = shares.sum()
    shares /= total
    further = top(logits, candidates).items
    items, scores, rows = stage.describe(session, candidates, shares=shares, further=further)
    told = logits[items[: len(rows)]] - best
    columns = (told - np.log(total), told, shares[items[: len(rows)]])
    return items, scores, np.column_stack((rows, np.maximum(columns, -50).T.astype(np.float32)))


def _shares(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum(), dtype=np.float32)


def _with_share(told: Explanation, share: float) -> Explanation:
    """A first stage's explanation, with what the neural retriever adds."""
    parts = heaviest_first((*told.parts, Part(Carrier.NEURAL, share)))
    return msgspec.structs.replace(told, score=told.score + share, parts=parts)


def _reordered(
    told: Explanation, row: NDArray[np.float32], added: NDArray[np.float64]
) -> Explanation:
    """The explanation of a candidate, from its features and what each added."""
    parts = [
        Part(Carrier.FEATURE, weight, feature=name, value=value)
        for name, value, weight in zip(
            [*FEATURES, *NEURAL][: len(row)], row.tolist(), added[:-1].tolist(), strict=True
        )
    ]
    parts.append(Part(Carrier.BASE, float(added[-1])))
    return Explanation(
        item=told.item, score=float(added.sum()), parts=heaviest_first(parts), retrieved=told
    )


class _Group(NamedTuple):
    """One question: features of its candidates, (n, F), and which one came next, (n,)."""

    rows: NDArray[np.float32]
    hits: NDArray[np.bool_]


def is_lightgbm_here() -> bool:
    """Whether LightGBM, and so ``wherry[rank]``, is installed."""
    return importlib.util.find_spec("lightgbm") is not None


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ModelError(
            "The model twostage is fitted by LightGBM, which is not installed. "
            'Install it: pip install "wherry[rank]"'
        ) from error
    return lightgbm
