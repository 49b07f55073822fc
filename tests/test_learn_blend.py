import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.blend import Blend
from wherry.learn.knn import SessionKNN
from wherry.testing import check_model, example_sessions


def test_the_packaged_grid_keeps_the_contract():
    for params in Blend.grid:
        check_model(Blend, **params)


def test_nothing_near_leaves_the_order_of_the_knn():
    sessions = example_sessions()
    blend, knn = (model.fit(sessions, seed=1) for model in (Blend(near=0.0), SessionKNN()))
    for session in ([3], [5, 9], [2, 2], [4, 8, 4, 1]):
        asked = np.array(session, dtype=np.int32)
        expected = np.maximum(knn.score(asked), 0)
        np.testing.assert_allclose(np.maximum(blend.score(asked), 0), expected, atol=1e-5)


def test_a_share_beyond_the_whole_is_refused():
    with pytest.raises(ModelError, match="near=2"):
        Blend(near=2.0)
