"""One tenant's training: its folder, from the training set to the recommender to be released."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.behave import Subject
from wherry.config import Settings
from wherry.domain import Candidate, Check, ContentRecipe, LearnedWith, Release, TenantId
from wherry.lake import Lake
from wherry.learn.answer import Answerer
from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.cost import Slo
from wherry.learn.dataset import Dataset, load_dataset, read_dataset
from wherry.learn.embedding import embed
from wherry.learn.fit import assemble
from wherry.learn.fitting import EVALUATION
from wherry.learn.leaks import find_leaks
from wherry.learn.learn import best, learn
from wherry.learn.metrics import Evaluation
from wherry.learn.models import OWN_CODE, load_own_models, load_released_model
from wherry.learn.places import learn_recipe
from wherry.learn.plan import Entry, Plan, drawn_sessions, read_candidate, test_instances
from wherry.learn.rulebook import rules_for
from wherry.learn.search import Budget
from wherry.learn.split import split
from wherry.learn.traits import load_traits, read_traits, save_traits
from wherry.project.home import Home
from wherry.registry import label

CHAMPION = "champion"
"""The candidate that is the champion's recipe, fitted anew to be compared with."""

JUDGING = "judging"
"""The folder of what judging needs beside the answers."""

_CATALOGUE = """
SELECT COLUMNS(lambda c: list_contains($wanted, c))
FROM lake.marts.items WHERE tenant = $tenant ORDER BY item_id
"""
_WANTED = [
    "item_id",
    "name",
    "category",
    "price",
    "available",
    "available_told_at",  # which older snapshots lack
    "attributes",
    "in_catalogue",
]


def read_catalogue(con: duckdb.DuckDBPyConnection, tenant: TenantId) -> pa.Table:
    """A tenant's items as the attached snapshot knows them, by their ids."""
    facts = {"tenant": tenant, "wanted": _WANTED}
    return con.execute(_CATALOGUE, facts).to_arrow_table()


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a training came to, as ``trained.json`` in its folder; ``champion_fault`` says why
    there is nothing to compare with, though there is a champion."""

    snapshot: int
    sessions: int
    events: int
    items: int
    winner: str
    candidates: tuple[Candidate, ...]
    leaks: tuple[Check, ...] = ()
    learned_with: LearnedWith | None = None
    champion_fault: str = ""


class Training:
    """A tenant's training in a folder: ``dataset/``, a folder a candidate, ``recommender/``."""

    def __init__(self, folder: Path, home: Home, settings: Settings) -> None:
        self.folder = folder
        self._home = home
        self._settings = settings

    @property
    def recommender(self) -> Path:
        """The folder of what would be released."""
        return self.folder / "recommender"

    def read(self) -> Trained | None:
        """What this training came to, or None if it never ended."""
        try:
            return msgspec.json.decode((self.folder / "trained.json").read_bytes(), type=Trained)
        except FileNotFoundError:
            return None

    def train(
        self, lake: Lake, tenant: TenantId, snapshot: int, champion: Release | None
    ) -> Trained:
        """Fit and judge the candidates on a snapshot, and make the winner ready to serve."""
        learn_settings = self._settings.learn
        with lake.reader(snapshot) as con:
            dataset = read_dataset(
                con,
                tenant,
                history_days=learn_settings.history_days,
                min_session_length=learn_settings.min_session_length,
            )
            facts = read_catalogue(con, tenant)
            self._save_judging(con, tenant, dataset)
        dataset.save(self.folder / "dataset")
        candidates = learn(
            self._plan(tenant, champion),
            self.folder,
            metaflow_home=self._home.metaflow,
            workers=learn_settings.workers,
        )
        winner = best([c for c in candidates if c.name != CHAMPION], learn_settings.metric)
        content = self._content(dataset, facts, winner)
        self._answerer(tenant, dataset, facts, winner, content).save(self.recommender)
        trained = Trained(
            snapshot=snapshot,
            sessions=len(dataset.sessions),
            events=dataset.sessions.n_events,
            items=len(dataset.vocabulary),
            winner=winner.name,
            candidates=candidates,
            leaks=self._leaks(dataset, facts, candidates),
            learned_with=self._learned_with(content),
            champion_fault=_fault(champion, candidates),
        )
        (self.folder / "trained.json").write_bytes(msgspec.json.encode(trained))
        shutil.rmtree(self._home.checkpoints(tenant), ignore_errors=True)
        return trained

    def _save_judging(
        self, con: duckdb.DuckDBPyConnection, tenant: TenantId, dataset: Dataset
    ) -> None:
        """Keep what judging needs beside the answers: vectors of items, traits of sessions."""
        settings, folder = self._settings.learn, self.folder / JUDGING
        window = split(dataset.sessions, test_fraction=settings.test_share)
        save_arrays(folder, vectors=embed(window.train, seed=settings.seed))
        drawn = drawn_sessions(window, max_sessions=settings.max_test_sessions, seed=settings.seed)
        ids = _ids(dataset).take(pa.array(len(window.train) + drawn))
        since = int(window.test.first_times[drawn].min())
        properties = self._settings.behave.session_properties
        save_traits(folder, read_traits(con, tenant, ids, properties, since=since))

    def _leaks(
        self, dataset: Dataset, facts: pa.Table, candidates: tuple[Candidate, ...]
    ) -> tuple[Check, ...]:
        """The audit of the training set, and of what came of it."""
        settings = self._settings.learn
        window = split(dataset.sessions, test_fraction=settings.test_share)
        told = facts.filter(pc.field("in_catalogue"))["item_id"].to_pylist()
        in_catalogue = np.zeros(len(dataset.vocabulary), dtype=np.bool_)
        in_catalogue[dataset.vocabulary.codes(told)] = True
        return find_leaks(
            window,
            test_instances(window, max_sessions=settings.max_test_sessions, seed=settings.seed),
            train_ids=_ids(dataset)[: len(window.train)],
            test_ids=_ids(dataset)[len(window.train) :],
            in_catalogue=in_catalogue,
            answers={
                each.name: self._evaluation(each.name) for each in candidates if not each.error
            },
        )

    def _budget(self, n_entries: int) -> Budget:
        """What each candidate may spend, so that all of them together keep to the minutes."""
        settings = self._settings.learn
        rounds = -(-n_entries // (settings.workers or os.cpu_count() or 1))
        return Budget(minutes=settings.search.minutes / rounds, trials=settings.search.trials)

    def _plan(self, tenant: TenantId, champion: Release | None) -> Plan:
        settings = self._settings.learn
        names = list(dict.fromkeys([*settings.candidates, self._settings.behave.baseline]))
        entries = [
            Entry(name=name, model=name, settings=settings.params.get(name, {})) for name in names
        ]
        if champion is not None and champion.has_recipe:
            entries.append(Entry(name=CHAMPION, model=champion.model, params=champion.params))
        return Plan(
            dataset=str(self.folder / "dataset"),
            own_models=str(self._home.models),
            entries=tuple(entries),
            test_share=settings.test_share,
            max_test_sessions=settings.max_test_sessions,
            max_validation_sessions=settings.max_validation_sessions,
            metric=settings.metric,
            seed=settings.seed,
            slo=Slo(p99_ms=settings.slo.p99_ms, memory_mb=settings.slo.memory_mb),
            search=self._budget(len(entries)),
            journal=str(self._home.searches(tenant)),
            checkpoints=str(self._home.checkpoints(tenant)),
        )

    def _content(
        self, dataset: Dataset, facts: pa.Table, winner: Candidate
    ) -> ContentRecipe | None:
        """How items without a history are recommended beside the winner."""
        settings = self._settings.learn
        window = split(dataset.sessions, test_fraction=settings.test_share)
        return learn_recipe(
            dataset,
            facts,
            window,
            test_instances(window, max_sessions=settings.max_test_sessions, seed=settings.seed),
            self._evaluation(winner.name),
            fewer_than=settings.content.fewer_than,
            places=settings.content.places,
        )

    def _answerer(
        self,
        tenant: TenantId,
        dataset: Dataset,
        facts: pa.Table,
        winner: Candidate,
        content: ContentRecipe | None,
    ) -> Answerer:
        own = load_own_models(self._home.models)
        if winner.model in own:
            shutil.copytree(self._home.models, self.recommender / OWN_CODE, dirs_exist_ok=True)
        return assemble(
            dataset,
            facts,
            winner.model,
            winner.params,
            seed=winner.seed,
            own=own,
            hide_purchased=self._settings.behave.hide_purchased,
            content=content,
            checkpoints=self._home.checkpoints(tenant),
        )

    def _learned_with(self, content: ContentRecipe | None) -> LearnedWith:
        settings = self._settings.learn
        return LearnedWith(
            history_days=settings.history_days,
            min_session_length=settings.min_session_length,
            test_share=settings.test_share,
            max_test_sessions=settings.max_test_sessions,
            hide_purchased=self._settings.behave.hide_purchased,
            content=content,
        )

    def subject(self, tenant: TenantId, trained: Trained) -> Subject:
        """What the behavioural tests look at."""
        settings = self._settings.learn
        sessions = load_dataset(self.folder / "dataset").sessions
        window = split(sessions, test_fraction=settings.test_share)
        able = {candidate.name for candidate in trained.candidates if not candidate.error}
        return Subject(
            tenant=tenant,
            answerer=Answerer.load(
                self.recommender,
                load_released_model,
                rules=rules_for(tenant, self._settings.serve.rules),
            ),
            instances=test_instances(
                window, max_sessions=settings.max_test_sessions, seed=settings.seed
            ),
            counts=window.train.item_counts(),
            winner=self._evaluation(trained.winner),
            baseline=self._evaluation_if(self._settings.behave.baseline, able),
            champion=self._evaluation_if(CHAMPION, able),
            metric=settings.metric,
            seed=settings.seed,
            rules=self._settings.behave,
            champion_fault=trained.champion_fault,
            vectors=load_array(self.folder / JUDGING, "vectors"),
            traits=load_traits(self.folder / JUDGING),
            leaks=trained.leaks,
        )

    def _evaluation(self, name: str) -> Evaluation:
        return Evaluation.load(self.folder / name / EVALUATION)

    def _evaluation_if(self, name: str, able: set[str]) -> Evaluation | None:
        return self._evaluation(name) if name in able else None

    def candidate(self, name: str) -> Candidate:
        """One candidate's line of the leaderboard."""
        return read_candidate(self.folder / name)


def _fault(champion: Release | None, candidates: tuple[Candidate, ...]) -> str:
    """Why the champion's recipe could not be fitted, or nothing."""
    if champion is not None and not champion.has_recipe:
        return f"{label(champion)} was put out by hand, and has no recipe to be fitted anew."
    errors = [each.error for each in candidates if each.name == CHAMPION and each.error]
    return f"its recipe can't be fitted any more ({errors[0]})." if errors else ""


def _ids(dataset: Dataset) -> pa.Array:
    """The ids of the sessions, which a dataset has where it was read from the lake."""
    assert dataset.session_ids is not None
    return dataset.session_ids
