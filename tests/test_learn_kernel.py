from wherry.learn.kernel import kernel


def test_a_kernel_works_where_there_is_no_place_to_keep_machine_code():
    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)  # of no file, so Numba finds no place
    assert kernel(namespace["double"])(21) == 42
