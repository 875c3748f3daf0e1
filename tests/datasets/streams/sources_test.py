"""Images at full depth, labels that are integers, and arrays as saved, from all sources."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from delvm_tf.datasets import ContentsError
from delvm_tf.datasets.streams import chunk, images, stream, write_tfrecords
from delvm_tf.datasets.streams.reading import Reading

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6)).astype("uint8")
RGB = RNG.integers(0, 256, (4, 6, 3)).astype("uint8")
DEEP = RNG.integers(0, 65536, (4, 6)).astype("uint16")


def encoded(image, kind="PNG", **settings):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **settings)
    return file.getvalue()


def decoded(content, path):
    path.write_bytes(content)
    (only,) = images.chunks(path, Reading())
    return only.x[0]


def test_images_are_read_at_full_depth(tmp_path):
    path = tmp_path / "a.png"
    palette = Image.fromarray(RGB).convert("P", palette=Image.ADAPTIVE)
    for content, expected in (
        (encoded(GREY), GREY[..., None]),
        (encoded(RGB), RGB),
        (encoded(DEEP), DEEP[..., None]),
        (tf.io.encode_png(np.stack([DEEP] * 3, -1)).numpy(), np.stack([DEEP] * 3, -1)),
        (encoded(palette), np.asarray(palette.convert("RGB"))),
        (encoded(GREY > 99), np.where(GREY > 99, 255, 0)[..., None]),
        (encoded(Image.fromarray(RGB).convert("RGBA")), np.dstack([RGB, np.full((4, 6), 255)])),
        (encoded(RGB, "BMP"), RGB),
        (encoded(GREY, "BMP"), GREY[..., None]),
    ):
        found = decoded(content, path)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == ("uint16" if expected.dtype == "uint16" else "uint8")
    (batch,) = stream(path)
    assert batch.dtype == tf.uint8
    path.write_bytes(encoded(DEEP))
    (batch,) = stream(path)
    assert batch.dtype == tf.uint16
    np.testing.assert_array_equal(batch[0, ..., 0], DEEP)


def test_cmyk_is_converted(tmp_path):
    flat = np.full((8, 8, 3), (200, 100, 50), "uint8")
    found = decoded(encoded(Image.fromarray(flat).convert("CMYK"), "JPEG"), tmp_path / "a.jpg")
    np.testing.assert_allclose(found, flat, atol=8)


def test_images_that_would_be_read_wrong_are_refused(tmp_path):
    path = tmp_path / "a.png"
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[::-1])]
    palette = frames[0].convert("P", palette=Image.ADAPTIVE)
    for content, message in (
        (encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]), "is an animation"),
        (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "not contain PNG"),
        (encoded(frames[0], "TIFF"), "does not contain PNG"),
        (encoded(palette, "BMP"), "BMP with a palette"),
        (encoded(GREY > 99, "BMP"), "BMP with a palette"),
    ):  # fmt: skip
        with pytest.raises(ContentsError, match=message):
            decoded(content, path)


def test_depths_and_colours_are_not_mixed(tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(GREY))
    for other in (DEEP, RGB):
        (tmp_path / "2.png").write_bytes(encoded(other))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.png: rows have shape"):
            list(stream(f"{tmp_path}/*.png"))


@pytest.mark.parametrize(
    ("y", "found"),
    [
        (np.array([0.0, 2.0, -1.0]), [0, 2, -1]),
        (np.array([True, False, True]), [1, 0, 1]),
        (np.array([0, 2**62 + 1, -1]), [0, 2**62 + 1, -1]),
        (np.array([0, 1, 2], ">i2"), [0, 1, 2]),
        (np.array([0, 0.5, 1]), "label of row 1 is 0.5"),
        (np.array([0, 1, np.nan]), "label of row 2 is nan"),
        (np.array([0, 1, 2**63], "uint64"), "label of row 2"),
        (np.array(["a", "b", "c"]), "type <U1, expected one integer"),
        (np.array([0, 1]), r"y has shape \(2,\)|2 labels for 3 rows|shorter|longer"),
        (np.eye(3), r"shape \(3, 3\)"),
    ],
)
def test_labels_are_integers_and_never_cut(y, found, tmp_path):
    x = np.arange(6, dtype="float32").reshape(3, 2)
    np.savez(tmp_path / "a.npz", x=x, y=y)

    def from_npz():
        return stream(tmp_path / "a.npz", labels=True)

    def from_records():
        folder = tmp_path / "records"
        write_tfrecords([(x, y)], folder)
        return stream(f"{folder}/*", labels=True)

    def from_generator():
        return stream(lambda: iter(zip(x, y, strict=True)), labels=True)

    for source in (from_npz, from_records, from_generator):
        if isinstance(found, list):
            ((_, labels),) = source().as_numpy_iterator()
            assert labels.dtype == "int64"
            assert labels.tolist() == found
        else:
            with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=found):
                list(source())


@pytest.mark.parametrize(("y", "found"), [([0, 1], [0, 1]), ([0.0, 1.0], [0, 1]),
                                          ([True, False], [1, 0]), ([0.0, 0.5], "is 0.5"),
                                          (["a", "b"], "expected one integer")])  # fmt: skip
def test_labels_of_tensorflow_datasets(y, found, monkeypatch):
    rows = tf.data.Dataset.from_tensor_slices((np.zeros((2, 3), "float32"), y))
    fake = SimpleNamespace(load=lambda *_, **__: rows)
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_datasets", fake)
    monkeypatch.setitem(__import__("sys").modules, "delvm_tf.datasets.tfds_builders", fake)
    if isinstance(found, list):
        ((_, labels),) = stream("tfds:any", labels=True).as_numpy_iterator()
        assert labels.tolist() == found
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=found):
            list(stream("tfds:any", labels=True))
        assert len(list(stream("tfds:any"))) == 1


def test_arrays_come_back_as_they_were_saved(tmp_path):
    path = tmp_path / "a.npz"
    x = RNG.integers(0, 2, (5, 3))
    for dtype in ("float16", ">f8", ">i4", "bool", "int8", "uint16", "float64"):
        for array in (x.astype(dtype), x.astype(dtype)[::-1], x.astype(dtype)[:, ::2]):
            np.savez_compressed(path, x=np.ascontiguousarray(array))
            (found,) = stream(path).as_numpy_iterator()
            np.testing.assert_array_equal(found, array)
    for array, message in (
        (np.asfortranarray(x), "ascontiguousarray"),
        (np.zeros(5, [("a", "f4"), ("b", "f4")]), "values of type"),
        (np.zeros((5, 2), "complex64"), "values of type complex64"),
        (np.zeros((5, 2), "M8[s]"), "values of type datetime64"),
        (np.zeros(5), r"single numbers, expected rows .*x\[:, None\]"),
    ):
        np.savez(path, x=array)
        with pytest.raises(ContentsError, match=message):
            stream(path)


def test_a_changed_byte_is_found(tmp_path):
    """The checksum of the archive is compared at the end of each array."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(64, dtype="float32").reshape(8, 8))
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(9).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises((ContentsError, tf.errors.InvalidArgumentError), match="CRC"):
        list(stream(path))


def test_masked_values_are_not_data():
    masked = np.ma.masked_equal(np.arange(6.0).reshape(3, 2), 3)
    for rows in (masked, masked[::-1]):
        with pytest.raises(
            (ContentsError, tf.errors.InvalidArgumentError), match="masked values; fill them"
        ):
            list(stream(lambda rows=rows: iter(rows)))
    with pytest.raises(ContentsError, match="masked values"):
        chunk.check_unmasked(masked, "x")
    chunk.check_unmasked(np.ma.array([1.0, 2.0]), "x")


def test_masked_batches_are_not_written(tmp_path):
    masked = np.ma.masked_equal(np.arange(6.0).reshape(3, 2), 3)
    with pytest.raises(ContentsError, match="masked values"):
        write_tfrecords([masked], tmp_path)
    assert not list(tmp_path.glob("*.tfrecord"))


def test_rows_with_names_would_lose_them():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    for rows in (
        lambda: (row for _, row in frame.iterrows()),
        lambda: iter(frame.to_dict("records")),
        lambda: iter([frame]),
    ):
        with pytest.raises(ContentsError, match="whose names would be lost"):
            stream(rows)
    for rows in (frame.iterrows, frame.itertuples):
        with pytest.raises(ValueError, match="the generator must give x"):
            stream(rows)
    with pytest.raises(ValueError, match=r"must give \(x, y\)"):
        stream(lambda: frame.itertuples(index=False), labels=True)


def test_damaged_records_are_named(tmp_path):
    (path,) = write_tfrecords([(np.zeros((9, 4), "float32"), np.arange(9) - 4)], tmp_path)
    ((_, y),) = stream(path, labels=True).as_numpy_iterator()
    assert y.tolist() == list(range(-4, 5))  # -1 is a label as others are
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((ContentsError, tf.errors.InvalidArgumentError), match=f"{path}.*damaged"):
        list(stream(path))


def test_records_of_other_writers_are_refused(tmp_path):
    def example(n, shape, label):
        feature = {
            "x": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"\0" * n])),
            "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=shape)),
            "dtype": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"float32"])),
        }
        if label is not None:
            feature["y"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()

    path = str(tmp_path / "a.tfrecord")
    for rows, message in (
        ([(4, [2], 0), (12, [2], 0)], "sizes of rows do not match"),
        ([(8, [2], 0), (8, [2], None)], "only some rows have labels"),
        ([(8, [2], None)], "has no labels"),
    ):
        with tf.io.TFRecordWriter(path) as writer:
            for row in rows:
                writer.write(example(*row))
        with pytest.raises(ContentsError, match=message):
            stream(path, labels=True)
