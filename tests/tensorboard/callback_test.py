"""What is written can be read back, from the files and from a running TensorBoard."""

import json
import re
import subprocess
import sys
import time
import urllib.request
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import delvm_tf as dv

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6, 6, 1)).astype("float32")
    abnormal = x[:20] + 4
    validation = (np.concatenate([x[:30], abnormal]), np.repeat([0, 1], [30, 20]))
    keras.utils.set_random_seed(0)
    model = dv.DELVM(dv.networks.cnn((4,), 3, seed=0), objective=dv.ContrastiveDivergence(seed=0))
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-3))
    folder = tmp_path_factory.mktemp("log")
    log = dv.TensorBoard(folder, validation, hparams={"scale": 1.0, "kind": "delvm"})
    history = model.fit(
        x, epochs=2, batch_size=40, verbose=0, callbacks=[log], validation_data=(x[:30],)
    )
    return folder, model, history.history, validation


def read(folder):
    events = event_accumulator.EventAccumulator(
        str(folder), {"tensors": 0, "images": 0, "histograms": 0}
    )
    events.Reload()
    return events


def scalars(folder, tag):
    import tensorflow as tf

    return [float(tf.make_ndarray(e.tensor_proto)) for e in read(folder).Tensors(tag)]


def test_scalars_are_those_of_the_history(run):
    folder, _, history, _ = run
    for tag in ("loss", "data_energy", "chain_energy", "gradient_norm", "reconstruction_error"):
        assert scalars(folder / "train", f"epoch_{tag}") == pytest.approx(history[tag], rel=1e-5)
    found = scalars(folder / "validation", "epoch_loss")
    assert found == pytest.approx(history["val_loss"], rel=1e-5)


def test_errors_threshold_and_curves(run):
    folder, model, _, (x, y) = run
    errors = np.asarray(model.reconstruction_error(x))
    normal = errors[y == 0]
    (threshold,) = scalars(folder / "pictures", "threshold")
    assert threshold == pytest.approx(normal.mean() + normal.std(), rel=1e-5)
    events = read(folder / "pictures")
    tags = set(events.Tags()["tensors"])
    assert {"filters", "errors", "roc", "reconstructions", "auroc"} <= tags
    assert any(tag.startswith("precision and recall") for tag in tags)
    import tensorflow as tf

    for value, name in ((0, "normal"), (1, "abnormal")):
        (event,) = events.Tensors(f"reconstruction error/{name}")
        table = tf.make_ndarray(event.tensor_proto)  # left, right, count
        assert table[:, 2].sum() == (y == value).sum()
        assert table[0, 0] == pytest.approx(errors[y == value].min(), rel=1e-5)


@pytest.mark.parametrize("bad", [[3], [45, 46], range(50)])
def test_errors_that_overflow_do_not_stop_a_run(tmp_path, rng, bad):
    """They rank highest, and the others are shown as ever."""
    import tensorflow as tf

    from delvm_tf.tensorboard.pictures import write_errors

    x, y = rng.normal(size=(50, 4)), np.repeat([0, 1], [30, 20])
    errors = rng.gamma(2.0, size=50) + y
    errors[list(bad)] = np.where(np.asarray(bad) % 2, np.inf, np.nan)

    class Model:
        def reconstruction_error(self, rows):
            return errors if len(rows) == 50 else errors[:30]

        def reconstruct(self, rows):
            return rows

    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=0):
        figures = write_errors(Model(), x, y, None, 0)
    ranked = np.where(np.isfinite(errors), errors, 1e9)
    assert figures["auroc"] == pytest.approx(roc_auc_score(y, ranked))
    assert ("threshold" in figures) == np.isfinite(errors[:30]).all()


def test_projector(run):
    folder, model, _, (x, y) = run
    features = np.loadtxt(folder / "features.tsv", delimiter="\t")
    hidden = np.asarray(model.hidden(x)).reshape(len(x), -1)
    np.testing.assert_allclose(features, hidden, rtol=1e-4, atol=1e-5)
    assert np.loadtxt(folder / "labels.tsv").tolist() == y.tolist()
    import tensorflow as tf

    sheet = tf.io.decode_png((folder / "sprite.png").read_bytes())
    assert sheet.shape == (8 * 24, 8 * 24, 1)  # 50 pictures on a square of 8 × 8
    assert "sprite.png" in (folder / "projector_config.pbtxt").read_text()


@pytest.fixture(scope="module")
def server(run):
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(run[0]), "--port", "0",
        "--host", "127.0.0.1", "--load_fast", "false",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            address = None
            for line in process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    address = found[0]
                    break
            assert address, "TensorBoard did not start"
            yield address
        finally:
            process.kill()


def get(server, path):
    with urllib.request.urlopen(f"{server}/data/{path}", timeout=30) as answer:
        return json.loads(answer.read())


def test_a_running_tensorboard_shows_all_of_it(run, server):
    deadline = time.monotonic() + 60
    while "pictures" not in get(server, "plugin/images/tags") and time.monotonic() < deadline:
        time.sleep(0.5)
    images = get(server, "plugin/images/tags")["pictures"]
    assert {"filters", "errors", "roc", "reconstructions"} <= set(images)
    assert "epoch_chain_energy" in get(server, "plugin/scalars/tags")["train"]
    histograms = get(server, "plugin/histograms/tags")["pictures"]
    assert "reconstruction error/abnormal" in histograms
    assert any(
        "precision and recall" in tag for tag in get(server, "plugin/pr_curves/tags")["pictures"]
    )
    runs = get(server, "plugin/projector/runs")
    assert runs
    shown = get(server, f"plugin/projector/info?run={runs[0]}")
    assert shown["embeddings"][0]["tensorName"] == "hidden features"


def test_what_cannot_be_is_refused(tmp_path):
    x = np.zeros((4, 3), "float32")
    with pytest.raises(ValueError, match=r"1 \(abnormal\), got values"):
        dv.TensorBoard(tmp_path, (x, np.arange(4)))
    with pytest.raises(ValueError, match="expected 4 labels y, one per example"):
        dv.TensorBoard(tmp_path, (x, np.array([0, 1, 0])))
    with pytest.raises(ValueError, match="all 4 are the same; leave y out"):
        dv.TensorBoard(tmp_path, (x, np.zeros(4)))
    with pytest.raises(ValueError, match="3 parts"):
        dv.TensorBoard(tmp_path, (x, np.zeros(4), np.ones(4)))
    with pytest.raises(TypeError, match="validation must be an array in memory, got _TensorSlice"):
        dv.TensorBoard(tmp_path, tf.data.Dataset.from_tensor_slices(x))
    with pytest.raises(TypeError, match="hparams must be a dict"):
        dv.TensorBoard(tmp_path, hparams=[1])
    with pytest.raises(ValueError, match="budget"):
        dv.TensorBoard(tmp_path, budget=0)
    (tmp_path / "file").write_text("")
    log = dv.TensorBoard(tmp_path / "file" / "log")
    model = dv.GaussianRBM(2, normalization="none", seed=0)
    model.compile("adam")
    with pytest.raises(OSError, match="cannot write a log"):
        model.fit(x + np.arange(4)[:, None], verbose=0, callbacks=[log])


def test_a_users_files_in_the_folder_are_not_replaced(tmp_path, rng):
    x = rng.normal(size=(20, 4)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    model.adapt(x)
    model.compile("adam")
    (tmp_path / ".try").write_text("mine")
    model.fit(x, verbose=0, callbacks=[dv.TensorBoard(tmp_path, x)])
    model.fit(x, verbose=0, callbacks=[dv.TensorBoard(tmp_path, x)])  # its own are replaced
    assert (tmp_path / ".try").read_text() == "mine"
    (tmp_path / "projector_config.pbtxt").unlink()
    (tmp_path / "features.tsv").write_text("mine")
    weights = [w.numpy() for w in model.trainable_weights]
    with pytest.raises(FileExistsError, match=r"features\.tsv exists, and this program did not"):
        model.fit(x, verbose=0, callbacks=[dv.TensorBoard(tmp_path, x)])
    assert (tmp_path / "features.tsv").read_text() == "mine"
    for before, after in zip(weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)


def test_many_normal_rows_leave_room_for_the_abnormal_ones(tmp_path):
    """As test sets come: all normal rows first, and only few abnormal ones."""
    x = np.arange(3000, dtype="float32")[:, None] * np.ones(3, "float32")
    y = np.repeat([0, 1], [2970, 30])
    log = dv.TensorBoard(tmp_path, (x, y), rows=100)
    assert log.x[:, 0].tolist() == [*range(99), 2970]
    assert log.y.tolist() == [0] * 99 + [1]
    mostly_abnormal = dv.TensorBoard(tmp_path, (x, 1 - y), rows=100)
    assert mostly_abnormal.x[:, 0].tolist() == [*range(98), 2970, 2971]
    assert mostly_abnormal.y.tolist() == [1] * 98 + [0] * 2  # two, for a threshold
    by_sign = dv.TensorBoard(tmp_path, (x, 1 - 2 * y), rows=100)
    assert by_sign.y.tolist() == [0] * 99 + [1]
    assert dv.TensorBoard(tmp_path, x, rows=100).x[:, 0].tolist() == list(range(100))


def test_settings_of_any_kind_are_shown(tmp_path):
    settings = {
        "units": (8, 4),
        "layers": [1],
        "nothing": None,
        "rate": np.float32(0.5),
        "steps": np.int64(3),
        "seeded": True,
        "policy": {"a": 1},
    }
    model = dv.GaussianRBM(2, normalization="none", seed=0)
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model.fit(x, verbose=0, callbacks=[dv.TensorBoard(tmp_path, hparams=settings)])
    from tensorboard.plugins.hparams import metadata

    summary = read(tmp_path / "pictures").SummaryMetadata(metadata.SESSION_START_INFO_TAG)
    shown = metadata.parse_session_start_info_plugin_data(summary.plugin_data.content).hparams
    assert shown["units"].string_value == "(8, 4)"
    assert shown["nothing"].string_value == "None"
    assert shown["rate"].number_value == 0.5
    assert shown["steps"].number_value == 3
    assert shown["seeded"].bool_value is True


def test_rows_that_do_not_fit_the_model_are_refused_before_training(tmp_path, rng):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rng.normal(size=(30, 3)) * [1, 10, 100], columns=["a", "b", "c"])
    y = np.repeat([0, 1], [20, 10])
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    model.adapt(table)
    model.compile("adam")
    weights = [w.numpy() for w in model.trainable_weights]
    turned = table[["c", "a", "b"]]
    for log, message in [
        (dv.TensorBoard(tmp_path, (turned, y)), "same order"),
        (dv.TensorBoard(tmp_path, (table, y), normal=turned), "same order"),
        (
            dv.TensorBoard(tmp_path, (table.to_numpy()[:, :2], y)),
            r"expects x of shape \(batch, 3\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(table, verbose=0, callbacks=[log])
    for before, after in zip(weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(table, verbose=0, callbacks=[dv.TensorBoard(tmp_path, (table, y))])
    for log in (dv.TensorBoard(tmp_path, (table[:21], y[:21]), rows=2), dv.TensorBoard(tmp_path)):
        model.fit(table, verbose=0, callbacks=[log])


def test_masked_labels_are_not_taken_for_labels(tmp_path):
    y = np.ma.masked_array([0, 1, 0, 1], [False, True, False, False])
    with pytest.raises(ValueError, match="1 masked values"):
        dv.TensorBoard(tmp_path, (np.zeros((4, 3)), y))
