import msgspec
import numpy as np
import pytest

from wherry.learn.model import ModelFile
from wherry.learn.models import MODELS
from wherry.learn.popularity import Popularity
from wherry.learn.ranking import Ranking
from wherry.testing import MODEL_CHECKS, ContractBroken, check_model, run_check


class WrongParams(Popularity):
    @property
    def params(self):
        return {"half_life": 1.0}


class FitsToNothing(Popularity):
    def fit(self, sessions, *, seed):
        super().fit(sessions, seed=seed)


class Random(Popularity):
    def fit(self, sessions, *, seed):
        noise = np.random.default_rng().random(sessions.n_items)
        return self._know(noise.astype(np.float32))


class Meddler(Popularity):
    def score(self, session, *, now=None):
        session[0] = 0
        return super().score(session)


class NotANumber(Popularity):
    def score(self, session, *, now=None):
        return super().score(session) * np.float32(np.nan)


class WorstFirst(Popularity):
    def recommend(self, session, k, *, now=None):
        items, scores = super().recommend(session, k)
        return Ranking(items[::-1].copy(), scores[::-1].copy())


class Twice(Popularity):
    def recommend(self, session, k, *, now=None):
        items, scores = super().recommend(session, k)
        return Ranking(np.repeat(items, 2)[:k], np.repeat(scores, 2)[:k])


class TooMany(Popularity):
    def recommend(self, session, k, *, now=None):
        return super().recommend(session, k + 1 if k == 3 else k)


class Stingy(Popularity):
    def recommend(self, session, k, *, now=None):
        return super().recommend(session, min(k, 20))


class Bored(Popularity):
    """Its first answer is right, later ones are not."""

    def recommend(self, session, k, *, now=None):
        self.asked = getattr(self, "asked", 0) + 1
        items, scores = super().recommend(session, k)
        return Ranking(items, scores if self.asked < 9 else scores / 2)


class Disagrees(Popularity):
    def recommend(self, session, k, *, now=None):
        items, scores = super().recommend(session, k + 1)
        return Ranking(items[1:], scores[1:])


class AgreesInHeadOnly(Popularity):
    def recommend(self, session, k, *, now=None):
        items, scores = super().recommend(session, k)
        return Ranking(items, scores * np.float32(2))


class NoLongSessions(Popularity):
    def recommend(self, session, k, *, now=None):
        if len(session) > 200:
            raise IndexError("too long")
        return super().recommend(session, k)


class Hasty(Popularity):
    """Asked about many sessions at once, it forgets the last place of each."""

    def recommend_many(self, questions, k, *, now=None):
        found = super().recommend_many(questions, k)
        found.items[:, -1] = -1
        return found


class NoTinyShops(Popularity):
    def fit(self, sessions, *, seed):
        if len(sessions) < 2:
            raise ZeroDivisionError
        return super().fit(sessions, seed=seed)


class Forgets(Popularity):
    def save(self, folder):
        ModelFile(self.name, self.params).save(folder)
        np.save(folder / "scores.npy", np.round(self._scores))


class Pickles(Popularity):
    def save(self, folder):
        super().save(folder)
        (folder / "extra").write_bytes(b"\x80\x04N.")


class Boaster(Popularity):
    def explain(self, session, items, *, now=None):
        told = super().explain(session, items, now=now)
        return [msgspec.structs.replace(each, score=2 * each.score + 1) for each in told]


BROKEN = {
    "check_attributes": WrongParams,
    "check_fit_returns_itself": FitsToNothing,
    "check_deterministic": Random,
    "check_inputs_unchanged": Meddler,
    "check_scores": NotANumber,
    "check_ranking": WorstFirst,
    "check_k": TooMany,
    "check_k_beyond_the_catalogue": Stingy,
    "check_recommend_agrees_with_score": AgreesInHeadOnly,
    "check_order_of_calls": Bored,
    "check_short_and_long_sessions": NoLongSessions,
    "check_many_at_once": Hasty,
    "check_tiny_training_set": NoTinyShops,
    "check_save_and_load": Forgets,
    "check_explanations": Boaster,
    "check_no_pickle": Pickles,
}


def test_there_is_a_broken_model_for_every_check():
    assert list(BROKEN) == [check.__name__ for check in MODEL_CHECKS]


@pytest.mark.parametrize("name", list(BROKEN))
def test_each_check_catches_the_model_that_breaks_its_law(name):
    (check,) = [each for each in MODEL_CHECKS if each.__name__ == name]
    with pytest.raises(ContractBroken) as broken:
        run_check(check, BROKEN[name])
    assert broken.value.check == name
    assert name in str(broken.value)


@pytest.mark.parametrize("model_class", [*BROKEN.values(), Twice, Disagrees])
def test_no_broken_model_passes(model_class):
    with pytest.raises(ContractBroken):
        check_model(model_class)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_packaged_model_passes(name):
    if name == "twostage":
        pytest.importorskip("lightgbm", reason="wherry[rank] is not installed")
    check_model(MODELS[name])


def test_the_message_holds_the_law_and_the_finding():
    with pytest.raises(ContractBroken, match=r"check_k: asked for 3, it gave 4 .* At most k items"):
        check_model(TooMany)


@pytest.mark.parametrize("check", MODEL_CHECKS)
def test_every_check_states_its_law(check):
    assert check.__doc__
    assert check.__doc__.endswith(".")
