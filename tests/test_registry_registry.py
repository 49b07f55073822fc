"""The registry: releases, the champion, and the way back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import alembic.command
import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

import serve_shop
from wherry.domain import DEFAULT_TENANT, Candidate, Estimate, Release, TenantId
from wherry.errors import RegistryError
from wherry.learn.answer import Answerer, Query
from wherry.learn.catalogue import Catalogue
from wherry.learn.models import load_released_model
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.registry import CHALLENGER, CHAMPION, Registry, model_name
from wherry.registry.store import Store
from wherry.serve import load_recommender

NORTH = TenantId("north")


def write_recommender(folder: Path, best: int) -> Path:
    """A recommender of five items that ranks one of them highest."""
    items = np.array([0, best, 1, best, 2, best, 3, best, 4, best])
    sessions = Sessions.from_events(np.repeat(np.arange(5), 2), items, np.arange(10), n_items=5)
    model = Popularity().fit(sessions, seed=1)
    ids = [f"i{code}" for code in range(5)]
    scores = model.score(np.zeros(1, dtype=np.int32))
    Answerer(model, Vocabulary(ids), Catalogue.unknown(5), scores).save(folder)
    return folder


def make_release(
    registry: Registry, folder: Path, tenant: TenantId, best: int, *, as_champion: bool = True
) -> Release:
    """Release a recommender that ranks ``best`` highest."""
    candidate = Candidate(
        name="popularity",
        model="popularity",
        params={"half_life": 7.0},
        seed=1,
        metrics={"mrr@20": Estimate(0.5, 0.4, 0.6)},
    )
    runs = registry.log_candidates(tenant, [candidate], {"wherry.snapshot": "3"})
    release = serve_shop.release(0, tenant)
    source = write_recommender(folder / str(best) / "recommender", best)
    return registry.release(release, source, runs["popularity"], as_champion=as_champion)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with four releases of the default tenant and one of another."""
    folder = tmp_path_factory.mktemp("registry")
    registry = Registry(folder / "mlflow", "recommender")
    for best in range(4):
        release = make_release(registry, folder / "made", DEFAULT_TENANT, best)
        assert release.version == best + 1
    make_release(registry, folder / "made", NORTH, 4)
    shutil.rmtree(folder / "made")
    return folder


@pytest.fixture
def registry(released: Path, tmp_path: Path) -> Registry:
    """A copy of that registry, in a folder whose name stands in its path twice."""
    home = tmp_path / "mlflow" / "of my shop" / "mlflow"
    shutil.copytree(released / "mlflow", home)
    return Registry(home, "recommender")


def shown_first(registry: Registry, tenant: TenantId) -> str:
    """The first item that a tenant's champion answers with, by its number."""
    release, folder = registry.champions()[tenant]
    recommender = load_recommender(folder, load_released_model, release=release)
    return recommender.recommend(question()).items[0].item


def question() -> Query:

    return Query(session=("i0",), k=1)


def champion_version(registry: Registry) -> int:
    champion = registry.champion(DEFAULT_TENANT)
    assert champion is not None
    return champion.version


def test_before_the_first_release_there_is_no_champion(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "mlflow", "recommender")
    assert registry.champion(DEFAULT_TENANT) is None
    assert registry.champions() == {}
    assert registry.releases(DEFAULT_TENANT) == []
    with pytest.raises(RegistryError, match="no champion to roll back from"):
        registry.rollback(DEFAULT_TENANT)


def test_the_newest_release_is_the_champion_and_says_what_it_came_from(registry: Registry) -> None:
    champion = registry.champion(DEFAULT_TENANT)
    assert champion == serve_shop.release(4)
    found = registry.releases(DEFAULT_TENANT)
    assert [(release.version, gone) for release, gone in found] == [
        (version, False) for version in (4, 3, 2, 1)
    ]


def test_roll_backs_go_back_one_by_one_and_then_no_further(registry: Registry) -> None:
    for version in (3, 2, 1):
        assert registry.rollback(DEFAULT_TENANT).version == version
        assert champion_version(registry) == version
    with pytest.raises(RegistryError, match="no earlier release than version 1"):
        registry.rollback(DEFAULT_TENANT)
    assert champion_version(registry) == 1


def test_a_version_that_was_rolled_back_from_is_passed_over_unless_asked_for(
    registry: Registry, tmp_path: Path
) -> None:
    registry.rollback(DEFAULT_TENANT)
    assert make_release(registry, tmp_path, DEFAULT_TENANT, 2).version == 5
    assert registry.rollback(DEFAULT_TENANT).version == 3
    gone = {release.version for release, gone in registry.releases(DEFAULT_TENANT) if gone}
    assert gone == {4, 5}
    assert registry.rollback(DEFAULT_TENANT, 4).version == 4
    gone = {release.version for release, gone in registry.releases(DEFAULT_TENANT) if gone}
    assert gone == {5}


def test_a_version_that_does_not_exist_is_refused_and_changes_nothing(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no version 9"):
        registry.rollback(DEFAULT_TENANT, 9)
    assert champion_version(registry) == 4


def test_tenants_do_not_mix(registry: Registry) -> None:
    registry.rollback(DEFAULT_TENANT)
    assert champion_version(registry) == 3
    assert registry.champion(NORTH) == serve_shop.release(1, "north")
    assert shown_first(registry, DEFAULT_TENANT) == "i2"
    assert shown_first(registry, NORTH) == "i4"
    assert set(registry.champions()) == {DEFAULT_TENANT, NORTH}
    with pytest.raises(RegistryError, match="no earlier release"):
        registry.rollback(NORTH)


def test_a_copy_answers_from_its_own_files(registry: Registry) -> None:
    _, folder = registry.champions()[DEFAULT_TENANT]
    assert folder.is_relative_to(registry.home)
    assert shown_first(registry, DEFAULT_TENANT) == "i3"


def test_after_a_move_releases_go_into_the_new_place(registry: Registry, tmp_path: Path) -> None:
    release = make_release(registry, tmp_path / "made", DEFAULT_TENANT, 0)
    assert release.version == 5
    _, folder = registry.champions()[DEFAULT_TENANT]
    assert folder.is_relative_to(registry.home)
    assert shown_first(registry, DEFAULT_TENANT) == "i0"
    assert registry.rollback(DEFAULT_TENANT).version == 4
    assert shown_first(registry, DEFAULT_TENANT) == "i3"


def test_a_release_whose_files_are_lost_is_listed_and_can_be_rolled_back(
    registry: Registry,
) -> None:
    _, folder = registry.champions()[DEFAULT_TENANT]
    shutil.rmtree(folder)
    assert champion_version(registry) == 4
    assert len(registry.releases(DEFAULT_TENANT)) == 4
    assert registry.rollback(DEFAULT_TENANT).version == 3
    assert shown_first(registry, DEFAULT_TENANT) == "i2"


def test_a_version_that_someone_else_registered_is_named(registry: Registry) -> None:
    client = registry._store.client
    source = client.get_model_version("recommender", "1").source
    client.create_model_version("recommender", source=source)
    client.set_registered_model_alias("recommender", CHAMPION, "5")
    with pytest.raises(RegistryError, match="Version 5 of recommender was not made by Wherry"):
        registry.champion(DEFAULT_TENANT)


def test_a_database_that_breaks_is_an_error_and_never_no_champion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise MlflowException("(sqlite3.OperationalError) disk I/O error\n[SQL: SELECT ...]")

    # Changed by MLflow itself, so that what answers has to be asked for again.
    plain_client(registry).set_registered_model_alias("recommender", CHAMPION, "2")
    monkeypatch.setattr(mlflow.MlflowClient, "search_registered_models", breaks)
    with pytest.raises(RegistryError, match="disk I/O error") as error:
        registry.champion(DEFAULT_TENANT)
    assert "SQL" not in str(error.value)


def test_another_name_in_the_same_database_has_other_champions(registry: Registry) -> None:
    assert champion_version(registry) == 4
    assert Registry(registry.home, "shop").champions() == {}
    assert champion_version(registry) == 4


def plain_client(registry: Registry) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(registry.uri, registry_uri=registry.uri)


def test_a_champion_that_plain_mlflow_moved_or_took_away_is_followed(registry: Registry) -> None:
    client = plain_client(registry)
    client.set_registered_model_alias("recommender", CHAMPION, "2")
    assert champion_version(registry) == 2
    client.delete_registered_model_alias("recommender", CHAMPION)
    assert registry.champion(DEFAULT_TENANT) is None
    assert registry.champion(NORTH) is not None


ASKS = """
import sys
from pathlib import Path
from wherry.registry import Registry
registry = Registry(Path(sys.argv[1]), "recommender")
print({tenant: release.version for tenant, (release, _) in registry.champions().items()})
print("mlflow" in sys.modules)
"""


def test_a_server_asks_no_mlflow_for_what_a_run_writes_and_who_it_makes_champion(
    registry: Registry, tmp_path: Path
) -> None:
    def asked() -> list[str]:
        command = [sys.executable, "-c", ASKS, str(registry.home)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    candidate = Candidate(name="x", model="popularity", params={}, seed=1, metrics={})
    registry.log_candidates(DEFAULT_TENANT, [candidate], {})
    assert asked() == ["{'default': 4, 'north': 1}", "False"]
    make_release(registry, tmp_path / "made", DEFAULT_TENANT, 1)
    assert asked() == ["{'default': 5, 'north': 1}", "False"]
    registry.rollback(DEFAULT_TENANT)
    assert asked() == ["{'default': 4, 'north': 1}", "False"]


def test_the_fingerprint_changes_with_the_registry_and_only_then(registry: Registry) -> None:
    before = registry.fingerprint()
    registry.champions()
    assert registry.fingerprint() == before
    registry.rollback(DEFAULT_TENANT)
    assert registry.fingerprint() != before


def test_plain_mlflow_loads_the_champion_and_answers_the_same(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else Python keeps the release's script compiled beside it, which no release brings itself.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    registry = Registry(released / "mlflow", "recommender")
    mlflow.set_tracking_uri(registry.uri)
    model = mlflow.pyfunc.load_model(f"models:/recommender@{CHAMPION}")
    (answer,) = model.predict([{"items": ["i0", "nobody knows this"], "k": 3}])
    release, folder = registry.champions()[DEFAULT_TENANT]
    recommender = load_recommender(folder, load_released_model, release=release)

    expected = recommender.recommend(Query(session=("i0",), k=3)).items
    assert [each["item"] for each in answer] == [each.item for each in expected]
    assert [each["score"] for each in answer] == pytest.approx([each.score for each in expected])


def test_nothing_under_the_artifacts_is_a_pickle(released: Path) -> None:
    files = [path for path in (released / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.suffix in {".npy", ".json", ".yaml", ".txt", ".py", ""}, path
        # Protocol 2 and later begin with \x80 and end with a stop.
        content = path.read_bytes()
        assert not (content.startswith(b"\x80") and content.endswith(b".")), path
        if path.suffix == ".npy":
            np.load(path, allow_pickle=False)


def test_every_candidate_is_a_run_with_its_parameters_metrics_and_tags(released: Path) -> None:
    client = Registry(released / "mlflow", "recommender")._store.client
    experiment = client.get_experiment_by_name("recommender")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]
    assert run.data.params == {"half_life": "7.0"}
    assert run.data.metrics["mrr_at_20"] == 0.5
    assert run.data.metrics["mrr_at_20_low"] == 0.4
    assert run.data.tags["wherry.snapshot"] == "3"


def test_the_default_tenant_has_the_bare_name() -> None:
    assert model_name("recommender", DEFAULT_TENANT) == "recommender"
    assert model_name("recommender", NORTH) == "recommender.north"


def test_a_release_of_a_registry_elsewhere_is_fetched_and_answers(
    released: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(released / "mlflow", elsewhere)
    registry = Registry(tmp_path / "here", "recommender", f"sqlite:///{elsewhere / 'mlflow.db'}")
    assert shown_first(registry, DEFAULT_TENANT) == "i3"
    _, folder = registry.champions()[DEFAULT_TENANT]
    assert folder.is_relative_to(tmp_path / "here")
    assert shown_first(registry, NORTH) == "i4"


def test_a_version_that_is_to_be_tried_changes_nothing_until_it_is_promoted(
    registry: Registry, tmp_path: Path
) -> None:
    tried = make_release(registry, tmp_path / "made", DEFAULT_TENANT, 2, as_champion=False)
    assert tried.version == 5
    champion = registry.champion(DEFAULT_TENANT)
    assert champion is not None
    assert champion.version == 4
    registry.name_challenger(DEFAULT_TENANT, 5)
    named = mlflow.MlflowClient(registry.uri).get_model_version_by_alias("recommender", CHALLENGER)
    assert int(named.version) == 5
    registry.promote(tried)
    registry.name_challenger(DEFAULT_TENANT, None)
    champion = registry.champion(DEFAULT_TENANT)
    assert champion is not None
    assert champion.version == 5
    assert registry.rollback(DEFAULT_TENANT).version == 4


def test_a_rollback_passes_over_what_was_tried_and_never_the_champion(
    registry: Registry, tmp_path: Path
) -> None:
    make_release(registry, tmp_path / "tried", DEFAULT_TENANT, 2, as_champion=False)
    make_release(registry, tmp_path / "made", DEFAULT_TENANT, 3)
    assert registry.rollback(DEFAULT_TENANT).version == 4
    # Asked for by number it comes, and has then been the champion.
    assert registry.rollback(DEFAULT_TENANT, 5).version == 5
    assert (5, False) in [(each.version, gone) for each, gone in registry.releases(DEFAULT_TENANT)]


def test_whoever_changes_the_champion_tells_it_to_those_without_mlflow(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    theirs = Registry(registry.home, "recommender")

    def seen() -> int:
        """The champion as a process sees it that never asks MLflow."""
        with monkeypatch.context() as without:
            without.setattr(Store, "champions", lambda _: asked.append("MLflow") or {})
            return champion_version(theirs)

    tried = make_release(registry, tmp_path / "made", DEFAULT_TENANT, 2, as_champion=False)
    assert seen() == 4
    registry.promote(tried)
    assert seen() == 5
    registry.name_challenger(DEFAULT_TENANT, 4)
    assert seen() == 5
    registry.rollback(DEFAULT_TENANT)
    assert seen() == 4
    assert asked == []


def test_a_registry_cut_off_while_its_tables_were_made_is_made_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path, "recommender")

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(alembic.command, "upgrade", cut_off)
        with pytest.raises(KeyboardInterrupt):
            registry.releases(DEFAULT_TENANT)
    assert not registry.exists()
    assert registry.releases(DEFAULT_TENANT) == []
    assert [path.name for path in tmp_path.glob("*making*")] == []
