import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays


@pytest.mark.parametrize("mmap", [True, False])
def test_a_saved_array_comes_back_equal_plain_and_read_only(tmp_path, mmap):
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    save_arrays(tmp_path / "deep" / "er", one=array)
    loaded = load_array(tmp_path / "deep" / "er", "one", mmap=mmap)
    assert np.array_equal(loaded, array)
    assert (type(loaded), loaded.dtype, loaded.flags.writeable) == (np.ndarray, np.int32, False)


def test_freezing_leaves_the_callers_array_writable():
    array = np.zeros(3)
    assert not frozen(array, np.float64).flags.writeable
    array[0] = 1


def test_objects_are_never_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        save_arrays(tmp_path, one=np.array([{}], dtype=object))
    np.save(tmp_path / "two.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match=r"two\.npy"):
        load_array(tmp_path, "two")


def test_a_missing_array_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.npy"):
        load_array(tmp_path, "nowhere")
