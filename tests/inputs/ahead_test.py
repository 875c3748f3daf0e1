import threading

import pytest

from delvm_tf.inputs.ahead import computed_ahead


def test_results_come_in_order_and_few_batches_wait():
    read = []
    finished = threading.Semaphore(0)

    def batches():
        for k in range(50):
            read.append(k)
            yield k

    def slow(k):
        if k % 2 == 0:
            finished.acquire(timeout=0.01)
        return 10 * k

    found = computed_ahead(slow, batches())
    assert next(found) == 0
    assert len(read) < 30
    assert [0, *found] == [10 * k for k in range(50)]


def test_an_error_is_told_and_what_waits_is_not_computed():
    seen = []

    def fails(k):
        seen.append(k)
        if k == 3:
            raise ValueError("three")
        return k

    with pytest.raises(ValueError, match="three"):
        list(computed_ahead(fails, range(1000)))
    assert len(seen) < 500
