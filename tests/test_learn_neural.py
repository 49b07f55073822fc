"""The neural models: what they learn, that they go on where they were cut short, and how they
answer without JAX."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.models import load_model
from wherry.learn.neural import GRU4Rec, SASRec, is_jax_here, training
from wherry.learn.neural.batches import LONGEST, WIDTHS, Draw, Pieces, epoch_batches
from wherry.learn.sessions import Sessions

pytestmark = pytest.mark.skipif(not is_jax_here(), reason="wherry[neural] is not installed")

MODELS = (GRU4Rec, SASRec)
SMALL = {"dimensions": 16, "epochs": 3, "batch": 64, "negatives": 32, "dropout": 0.0}


def walks(n: int = 400, n_items: int = 30, seed: int = 3) -> Sessions:
    """Sessions that go two items on at each step, around a ring: order is all there is to learn."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 7, n)
    owner = np.repeat(np.arange(n), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = (rng.integers(0, n_items, n)[owner] + 2 * within) % n_items
    return Sessions.from_events(owner, items, owner * 1000 + within, n_items=n_items)


def arrays_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.npy"))}


@pytest.mark.parametrize("model_class", MODELS)
def test_it_learns_what_follows_what(model_class):
    settings = {**SMALL, "epochs": 12, "rate": 0.03}
    model = model_class(**settings).fit(walks(), seed=1)
    hits = [model.recommend(np.array([i, (i + 2) % 30]), 1).items[0] for i in range(30)]
    assert np.mean(np.array(hits) == (np.arange(30) + 4) % 30) > 0.9
    assert model.curve[-1].loss < model.curve[0].loss / 2
    assert [epoch.epoch for epoch in model.curve] == list(range(1, 13))


@pytest.mark.parametrize("model_class", MODELS)
def test_the_same_seed_gives_the_same_arrays_and_another_does_not(model_class, tmp_path):
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        model_class(**SMALL).fit(walks(), seed=seed).save(tmp_path / name)
    one, same, other = (arrays_of(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert one["table.npy"] != other["table.npy"]


def test_training_that_was_cut_short_goes_on_and_ends_in_the_same_arrays(tmp_path, monkeypatch):
    settings = {**SMALL, "dropout": 0.2}
    whole = GRU4Rec(**settings).fit(walks(), seed=2)
    asked = []
    original = training.epoch_batches

    def counted(*args, **kwargs):
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(training, "epoch_batches", counted)
    model = GRU4Rec(**settings)
    model.checkpoint_in(tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        model.fit(walks(), seed=2)
    again = GRU4Rec(**settings)
    again.checkpoint_in(tmp_path / "state")
    again.fit(walks(), seed=2)
    assert len(asked) == 4  # two epochs, the one that was cut, and that one again
    whole.save(tmp_path / "whole")
    again.save(tmp_path / "again")
    assert arrays_of(tmp_path / "whole") == arrays_of(tmp_path / "again")
    assert not [f for f in (tmp_path / "state").rglob("*") if f.suffix not in ("", ".npy", ".json")]


def test_a_checkpoint_that_was_being_replaced_is_found(tmp_path):
    model = GRU4Rec(**SMALL)
    model.checkpoint_in(tmp_path / "state")
    model.fit(walks(), seed=2)
    (tmp_path / "state").rename(tmp_path / "state.unfinished")
    again = GRU4Rec(**SMALL)
    again.checkpoint_in(tmp_path / "state")
    started = len(model.curve)
    again.fit(walks(), seed=2)
    assert again.curve == model.curve
    assert started == SMALL["epochs"]


def test_an_answer_needs_no_jax(tmp_path):
    model = GRU4Rec(**SMALL).fit(walks(), seed=1)
    model.save(tmp_path / "model")
    code = textwrap.dedent("""
        import sys
        sys.modules["jax"] = None
        from pathlib import Path
        import numpy as np
        from wherry.learn.models import load_model
        model = load_model(Path(sys.argv[1]))
        print(model.recommend(np.array([4, 6], dtype=np.int32), 5).items.tolist())
    """)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
    )
    want = model.recommend(np.array([4, 6], dtype=np.int32), 5).items.tolist()
    assert json.loads(done.stdout) == want


def test_without_jax_a_fit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ModelError, match=r'pip install "wherry\[neural\]"'):
        GRU4Rec(**SMALL).fit(walks(), seed=1)


@pytest.mark.parametrize("model_class", MODELS)
def test_the_state_of_a_session_is_the_one_it_was_trained_with(model_class):
    """What NumPy computes for one session is what JAX computes for the same in a batch."""
    import jax.numpy as xp

    model = model_class(**SMALL, layers=2, confidence=0.25).fit(walks(), seed=1)
    session = np.array([3, 5, 7, 9, 2], dtype=np.int32)
    steps = np.zeros((3, 8, 16), dtype=np.float32)
    steps[1, :5] = model._table[session] * np.float32(training.INPUT_NORM)
    is_step = np.zeros((3, 8), dtype=bool)
    is_step[1, :5] = True
    state = np.asarray(
        model.encoder(xp, dict(model._weights), xp.asarray(steps), is_step, lambda a: a)
    )[1, 4]
    logits = 16.0 * model._table @ (state / np.linalg.norm(state)) + model._bias
    assert model.logits(session) == pytest.approx(0.25 * logits, abs=1e-3)


def test_with_less_confidence_repeats_rise_and_what_is_new_keeps_its_order(tmp_path):
    sure = GRU4Rec(**SMALL, confidence=1.0).fit(walks(), seed=1)
    sure.save(tmp_path)
    unsure = GRU4Rec.load(tmp_path)
    assert unsure.params["confidence"] == 1.0
    unsure._confidence = 0.25
    session = np.array([3, 5, 7, 9, 2], dtype=np.int32)
    is_new = ~np.isin(np.arange(sure.score(session).size), session)
    before, after = sure.score(session), unsure.score(session)
    assert np.argsort(-before[is_new]).tolist() == np.argsort(-after[is_new]).tolist()
    assert after[is_new].max() < before[is_new].max()


def test_confidence_must_be_above_0():
    with pytest.raises(ModelError, match="confidence=0; it must be above 0"):
        GRU4Rec(confidence=0)


def test_items_that_were_never_seen_are_unscored():
    sessions = walks(n_items=30)
    wider = Sessions(sessions.offsets, sessions.items, sessions.times, sessions.types, n_items=33)
    scores = GRU4Rec(**SMALL).fit(wider, seed=1).score(np.array([1, 3]))
    assert np.isneginf(scores[30:]).all()
    assert np.isfinite(scores[:30]).all()
    assert scores[:30].min() >= 0


def test_only_the_latest_items_count():
    model = SASRec(**SMALL, repeat=0.0).fit(walks(), seed=1)
    latest = np.arange(LONGEST, dtype=np.int32)
    longer = np.concatenate((np.full(200, 29, dtype=np.int32), latest))
    assert model.logits(longer) == pytest.approx(model.logits(latest))


def test_a_loaded_model_answers_the_same_and_keeps_its_curve(tmp_path):
    model = SASRec(**SMALL).fit(walks(), seed=1)
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert (loaded.score(np.array([1, 3])) == model.score(np.array([1, 3]))).all()
    assert loaded.curve == model.curve


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"dropout": 1.0}, {"epochs": 0}])
def test_parameters_that_make_no_sense_are_named(wrong):
    with pytest.raises(ModelError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        GRU4Rec(**wrong)


def test_every_step_of_every_session_stands_in_one_batch_of_an_epoch():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 70, 200)
    owner = np.repeat(np.arange(200), lengths)
    items = rng.integers(0, 50, len(owner))
    sessions = Sessions.from_events(owner, items, np.arange(len(owner)), n_items=50)
    pieces = Pieces.of(sessions)
    draw = Draw.of(sessions.item_counts(), 0.75, 16)
    found = []
    batches = list(epoch_batches(sessions, pieces, draw, tokens=64, negatives=16, rng=rng))
    assert len(batches) == pieces.batches(64)
    for batch in batches:
        assert batch.inputs.shape[1] in WIDTHS
        is_step = batch.inputs >= 0
        assert ((batch.targets >= 0) == is_step).all()
        pairs = (batch.inputs[is_step], batch.targets[is_step])
        found += list(zip(*(each.tolist() for each in pairs), strict=True))
    inner = np.diff(sessions.offsets).cumsum()[:-1]
    wanted = [
        (a, b)
        for place, (a, b) in enumerate(
            zip(sessions.items[:-1].tolist(), sessions.items[1:].tolist(), strict=True)
        )
        if place + 1 not in set(inner.tolist())
    ]
    assert sorted(found) == sorted(wanted)


def test_negatives_are_drawn_by_their_chances_and_unseen_items_never():
    counts = np.array([0, 1, 16, 81])
    draw = Draw.of(counts, 0.5, 8)
    assert np.exp(draw.log_chances) == pytest.approx(8 * np.array([0, 1, 4, 9]) / 14)
    sessions = Sessions.from_events(np.zeros(4), [1, 2, 3, 2], np.arange(4), n_items=4)
    rng = np.random.default_rng(0)
    drawn = [
        batch.negatives
        for _ in range(300)
        for batch in epoch_batches(
            sessions, Pieces.of(sessions), draw, tokens=8, negatives=8, rng=rng
        )
    ]
    shares = np.bincount(np.concatenate(drawn), minlength=4) / (300 * 8)
    assert shares == pytest.approx(np.array([0, 1, 4, 9]) / 14, abs=0.04)
