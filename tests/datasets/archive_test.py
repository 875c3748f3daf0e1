import numpy as np
import pytest

from delvm_tf.datasets.archive import ContentsError, digest, row_digests


def verify(archive, arrays):
    return archive.verify(arrays, "the file", "get another")


def test_digest_of_a_known_row():
    # printf '\001\002\003' | sha256sum, and the same of its 32 bytes
    row = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81"
    rows = row_digests(np.array([[2, 3]], "uint8"), np.array([1]))
    assert rows == [bytes.fromhex(row)]
    assert digest(rows) == "19c6197e2140b9d034fb20b9ac7bb753a41233caf1e1dafda7316a99cef41416"


def test_digest_ignores_the_order_but_not_the_pairing(arrays):
    x, y = arrays["x_train"], arrays["y_train"]
    order = np.array([6, 0, 5, 1, 4, 2, 3])
    assert digest(row_digests(x[order], y[order])) == digest(row_digests(x, y))
    assert digest(row_digests(x, y[order])) != digest(row_digests(x, y))


def test_verify_keeps_rows_and_labels_together(archive, arrays):
    found = verify(archive, arrays)
    assert found.y_train.dtype == np.int64
    np.testing.assert_array_equal(found.x_train, arrays["x_train"][found.y_train])
    np.testing.assert_array_equal(found.x_test, arrays["x_test"][found.y_test])
    assert sorted(found.y_train) == list(range(7))


def test_rows_stay_in_the_order_they_came_in(archive, arrays, shuffled):
    for came in (arrays, shuffled):
        np.testing.assert_array_equal(verify(archive, came).y_train, came["y_train"])


def test_arrays_cannot_be_written_to(archive, arrays):
    for array in verify(archive, arrays):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_one_altered_value(archive, arrays, key):
    arrays[key] = arrays[key].copy()
    arrays[key].flat[3] ^= 1
    with pytest.raises(ContentsError, match=r"the file is altered.*digest [0-9a-f]{64}, expected"):
        verify(archive, arrays)


def test_missing_arrays(archive, arrays):
    del arrays["y_test"], arrays["x_train"]
    with pytest.raises(
        ContentsError,
        match=r"the file lacks the arrays x_train, y_test; it has x_test, y_train, expected "
        r"x_train \(7, 3, 2\) uint8, y_train \(7,\) uint8, x_test \(5, 3, 2\) uint8, "
        r"y_test \(5,\) uint8; get another",
    ):
        verify(archive, arrays)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("x_train", lambda x: x[:6], r"x_train has shape \(6, 3, 2\) and dtype uint8, expected "
         r"\(7, 3, 2\) and uint8; get another"),
        ("x_test", lambda x: x.reshape(5, 6), r"x_test has shape \(5, 6\)"),
        ("x_test", lambda x: x / 255, r"x_test has shape \(5, 3, 2\) and dtype float64, expected "
         r"\(5, 3, 2\) and uint8"),
        ("y_train", lambda y: y[:, None], r"y_train has shape \(7, 1\) and dtype uint8, expected "
         r"\(7,\) and integers"),
        ("y_test", lambda y: y.astype(str), r"y_test has shape \(5,\) and dtype <U\d+, expected"),
        ("y_test", lambda y: y.astype(int) - 1, r"y_test has labels from -1 to 3, expected class "
         r"numbers from 0 to 255"),
        ("y_test", lambda y: y.astype(int) + 256, r"y_test has labels from 256 to 260"),
    ],
)  # fmt: skip
def test_wrong_form(archive, arrays, key, change, message):
    arrays[key] = change(arrays[key])
    with pytest.raises(ContentsError, match=message):
        verify(archive, arrays)
