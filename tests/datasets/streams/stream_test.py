"""Every source gives the rows it holds, once each, and says which file and row is wrong."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.datasets import ContentsError
from delvm_tf.datasets.streams import stream, write_tfrecords

SIZES = (5, 1, 17, 8)
SOURCES = ("npz", "csv", "tfrecord", "png")


def rows(shape=(4,), dtype="float32"):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 200, size=(n, *shape)).astype(dtype) for n in SIZES]


def write(kind, folder):
    """Files of one kind, and the pattern, all rows and all labels in order."""
    if kind == "png":
        parts = rows((3, 2, 1), "uint8")
        for k, part in enumerate(parts):
            (folder / f"class{k}").mkdir()
            for i, image in enumerate(part):
                path = folder / f"class{k}" / f"{i:03d}.png"
                path.write_bytes(tf.io.encode_png(image).numpy())
        return f"{folder}/*/*.png", np.concatenate(parts), np.repeat(range(4), SIZES)
    parts = rows()
    labels = [np.arange(len(part)) % 3 for part in parts]
    for k, (x, y) in enumerate(zip(parts, labels, strict=True)):
        if kind == "npz":
            np.savez_compressed(folder / f"{k}.npz", x=x, y=y)
        elif kind == "csv":
            table = np.column_stack([x, y])
            header = "a,b,c,d,label"
            np.savetxt(folder / f"{k}.csv", table, delimiter=",", header=header, comments="")
        else:
            write_tfrecords([(x, y)], folder / str(k))
    pattern = {"npz": "*.npz", "csv": "*.csv", "tfrecord": "*/*.tfrecord"}[kind]
    return f"{folder}/{pattern}", np.concatenate(parts), np.concatenate(labels)


def labelled(kind):
    """How to ask for labels."""
    return {"label": "label"} if kind == "csv" else {"labels": True}


def read(dataset):
    x, y = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(x), np.concatenate(y)


def as_set(x, y):
    table = np.column_stack([x.reshape(len(x), -1).astype(float), y])
    return sorted(map(tuple, table))


@pytest.mark.parametrize("kind", SOURCES)
def test_all_rows_with_their_labels(kind, tmp_path):
    pattern, x, y = write(kind, tmp_path)
    found = read(stream(pattern, 7, **labelled(kind)))
    assert found[0].dtype == ("float64" if kind == "csv" else x.dtype)
    assert as_set(*found) == as_set(x, y)
    (first, *_) = stream(pattern, 7, drop=["label"]) if kind == "csv" else stream(pattern, 7)
    assert first.shape == (7, *x.shape[1:])


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("parts", [2, 7])
def test_each_row_is_in_one_part(kind, parts, tmp_path):
    pattern, x, y = write(kind, tmp_path)
    pieces = []
    for index in range(parts):
        dataset = stream(pattern, 3, shuffle=5, shard=(index, parts), **labelled(kind))
        pieces += list(dataset.as_numpy_iterator())
    found = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    assert as_set(*found) == as_set(x, y)


def test_the_seed_gives_the_order(tmp_path):
    pattern, *_ = write("npz", tmp_path)

    def epochs(seed, **settings):
        dataset = stream(pattern, 40, labels=True, shuffle=100, seed=seed, **settings)
        return [read(dataset)[0].tobytes() for _ in range(2)]

    first = epochs(0)
    assert first == epochs(0)
    assert first[0] != first[1]
    assert first != epochs(1)
    fixed = epochs(0, reshuffle=False)
    assert fixed[0] == fixed[1]


def test_a_generator_and_its_parts():
    x = np.arange(24, dtype="float32").reshape(12, 2)

    def numbered():
        yield from ((row, k) for k, row in enumerate(x))

    found = read(stream(numbered, 5, labels=True))
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], np.arange(12))
    parts = [read(stream(numbered, 5, labels=True, shard=(k, 5)))[1] for k in range(5)]
    assert sorted(np.concatenate(parts)) == list(range(12))


def test_a_model_trains_and_scores_as_on_the_array(tmp_path):
    pattern, x, _ = write("npz", tmp_path)
    losses, errors, thresholds = [], [], []
    for data in (x, stream(pattern, 31)):
        keras.utils.set_random_seed(0)
        model = dv.DELVM(
            dv.networks.ffnn((3,), activation="tanh", seed=0),
            objective=dv.ScoreMatching(trace="basis"), normalization="zscore",
        )  # fmt: skip
        model.adapt(data)
        model.compile(keras.optimizers.Adam(1e-2))
        epochs = model.fit(data, batch_size=31 if data is x else None, epochs=3, shuffle=False,
                           verbose=0)  # fmt: skip
        losses.append(epochs.history["loss"])
        errors.append(np.sort(model.reconstruction_error(data)))
        detector = dv.AnomalyDetector(model, "mean_std").fit(data)
        assert detector.n_features_in_ == 4
        assert len(detector.predict(data)) == 31
        thresholds.append(detector.threshold_)
        assert model.predict(data, verbose=0).shape == (31, 4)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-3, atol=1e-5)
    assert thresholds[0] == pytest.approx(thresholds[1], rel=1e-3)


def damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 7])


@pytest.mark.parametrize("kind", SOURCES)
def test_a_damaged_file_is_named(kind, tmp_path):
    pattern, *_ = write(kind, tmp_path)
    files = sorted(tmp_path.rglob(f"*.{kind}"))
    last = files[-1]
    if kind == "csv":
        last.write_text(last.read_text()[:-30] + ",nonsense\n")
    else:
        damage(last)
    problem = "row 7 .*nonsense" if kind == "csv" else "damaged or another format"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{last}.*{problem}"):
        read(stream(pattern, 3, **labelled(kind)))
    if kind == "csv":
        files[0].write_text("a,b\n1,2,3\n")
    else:
        damage(files[0])
    with pytest.raises(ContentsError, match=str(files[0])):
        stream(pattern, 3, **labelled(kind))


def test_rows_that_differ_are_named(tmp_path):
    np.savez(tmp_path / "0.npz", x=np.zeros((3, 4), "float32"))
    for name, wrong in (
        ("shape", np.zeros((3, 5), "float32")),
        ("type", np.zeros((3, 4), "float64")),
        ("NaN", np.where(np.arange(12).reshape(3, 4) == 6, np.nan, 0).astype("float32")),
    ):
        np.savez(tmp_path / "1.npz", x=wrong)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"1\.npz.*" + name) as caught:
            list(stream(f"{tmp_path}/*.npz"))
        if name == "NaN":
            assert "row 1" in str(caught.value)


def test_what_cannot_be_is_refused_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, problem in (
        ("*.npz", "check the folder, and quote the pattern"),
        ("a.npz", "there is no such file or folder"),
        ("empty", "it is a folder without files"),
    ):
        with pytest.raises(FileNotFoundError, match=f"no file fits .*; {problem}"):
            stream(f"{tmp_path}/{name}")
    np.savez(tmp_path / "a.npz", z=np.zeros((3, 4)))
    with pytest.raises(ContentsError, match=r"a\.npz has no array x; it has z"):
        stream(f"{tmp_path}/*.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4)))
    with pytest.raises(ContentsError, match=r"has no array y"):
        stream(f"{tmp_path}/*.npz", labels=True)
    np.savez(tmp_path / "a.npz", x=np.array([[print]], dtype=object))
    with pytest.raises(ContentsError, match="Python objects, which are never loaded"):
        stream(f"{tmp_path}/*.npz")
    np.savez(tmp_path / "a.npz", x=np.array([["text"]]))
    with pytest.raises(ContentsError, match="values of type <U4"):
        stream(f"{tmp_path}/*.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 4)))
    with pytest.raises(ValueError, match=r"has no rows|no rows"):
        list(stream(f"{tmp_path}/*.npz"))
    (tmp_path / "b.csv").write_text("1,2\n")
    with pytest.raises(ValueError, match=r"end in \.csv, \.npz; expected one of"):
        stream(f"{tmp_path}/*")
    with pytest.raises(ValueError, match="shard must be"):
        stream(f"{tmp_path}/*.csv", shard=(2, 2))
    with pytest.raises(ValueError, match="generator has no rows"):
        stream(lambda: iter(()))
    with pytest.raises(FileExistsError, match="choose another folder"):
        write_tfrecords([np.zeros((2, 2))], write_tfrecords([np.zeros((2, 2))], tmp_path)[0].parent)


MEMORY = """
import resource, sys
import numpy as np, tensorflow as tf
import delvm_tf as dv
rows = int(sys.argv[1])
def images():
    x = np.random.default_rng(0).normal(size=(64, 64, 64, 3)).astype("float32")
    for k in range(rows):
        yield x[k % 64]
ds = dv.datasets.streams.stream(images, 64, shuffle=500)
model = dv.DELVM(dv.networks.cnn((4,), 7, strides=4, seed=0), normalization="center")
model.adapt(ds.take(4))
model.compile("adam")
model.fit(ds, epochs=1, verbose=0)
assert model.reconstruction_error(ds).shape == (rows,)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data():
    def peak(rows):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(rows)], capture_output=True, text=True, check=True
        )
        return float(done.stdout.split()[-1])

    small, large = peak(1500), peak(22000)  # 70 MB and 1 GB
    assert large < small + 150
    assert large < 2048
