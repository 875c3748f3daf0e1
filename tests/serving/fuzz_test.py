"""Malformed input of every kind: a clear error or a right answer, no crash, no hang.

A few hundred inputs each time, and 20,000 in the long tests.
"""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from parity_checks.servers import RestServer
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import write_tfrecords
from delvm_tf.datasets.streams.stream import READERS
from delvm_tf.serving import Client, DamagedModelError, RequestRefusedError, ServerError, load
from delvm_tf.serving.model_card import FILE, ModelCard
from delvm_tf.serving.scoring import score_files

QUICK, LONG = 40, 2500  # inputs of each of the eight kinds
SIZES = [QUICK, pytest.param(LONG, marks=pytest.mark.slow)]
ROW = (6,)


def fuzzed(size):
    """Settings for so many inputs, the same ones each time."""
    return settings(
        max_examples=size, deadline=5000, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def said(error):
    """An error must have a text."""
    assert str(error)


@st.composite
def damaged(draw, whole):
    """Bytes with something cut, changed, doubled or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["cut", "flip", "insert", "zero", "double"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        elif kind == "zero":
            data[at : at + 8] = bytes(len(data[at : at + 8]))
        else:
            data[at:at] = data[at : at + 64]
    return bytes(data)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    x = np.random.default_rng(0).normal(size=(60, *ROW)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    return load(dv.export_saved_model(detector, tmp_path_factory.mktemp("m"), warmup=()))


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """A whole file of every kind, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    x = np.random.default_rng(1).normal(size=(5, *ROW)).astype(np.float32)
    np.savez(folder / "a.npz", x=x)
    np.savetxt(folder / "a.csv", x, delimiter=",", header="a,b,c,d,e,f", comments="")
    parquet.write_table(pyarrow.table({f"v{i}": x[:, i] for i in range(6)}), folder / "a.parquet")
    write_tfrecords([x], folder)
    (folder / "rows-00000.tfrecord").rename(folder / "a.tfrecord")
    image = np.random.default_rng(2).integers(0, 256, (4, 3, 1)).astype(np.uint8)
    (folder / "a.png").write_bytes(tf.io.encode_png(image).numpy())
    (folder / "a.jpg").write_bytes(tf.io.encode_jpeg(image).numpy())
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet", ".tfrecord", ".png"])
def test_damaged_files_are_read_right_or_refused(wholes, tmp_path, suffix, size):
    path = tmp_path / f"a{suffix}"

    @fuzzed(size)
    @given(damaged(wholes[suffix]))
    def check(data):
        path.write_bytes(data)
        try:
            rows = list(dv.datasets.streams.stream(str(path), 3).as_numpy_iterator())
        except (ContentsError, ValueError, tf.errors.InvalidArgumentError) as error:
            said(error)
            return
        assert all(batch.shape[1:] == rows[0].shape[1:] for batch in rows)
        assert all(np.isfinite(batch).all() for batch in rows)

    check()


@pytest.mark.parametrize("size", SIZES)
def test_the_score_program_refuses_what_does_not_fit(served, wholes, tmp_path, size):
    @fuzzed(size)
    @given(st.sampled_from(sorted(READERS.keys() & wholes.keys())), st.data())
    def check(suffix, draw):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(draw.draw(damaged(wholes[suffix])))
        output = tmp_path / "scores.parquet"
        output.unlink(missing_ok=True)
        try:
            summary = score_files(served, str(path), output)
        except (ContentsError, ValueError) as error:
            said(error)
            assert not output.exists()
        else:
            table = parquet.read_table(output)
            assert table.num_rows == summary.rows > 0
            assert np.isfinite(table["anomaly_score"].to_numpy()).all()
        shutil.rmtree(tmp_path / "scores.parquet.partial", ignore_errors=True)

    check()


VALUES = st.one_of(
    st.none(), st.text(max_size=3), st.binary(max_size=3), st.floats(), st.integers(),
    st.lists(st.floats(), max_size=7), st.lists(st.lists(st.floats(), max_size=7), max_size=3),
    st_numpy.arrays(
        st.sampled_from(["float16", "float32", "float64", "int8", "uint64", "bool", "complex64",
                         "datetime64[s]", "object", "<U2"]),
        st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7),
    ),
    st_numpy.arrays("float64", st.tuples(st.integers(0, 3), st.just(6))),
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_whatever_is_asked_is_answered_right_or_refused(served, size):
    @fuzzed(size)
    @given(VALUES)
    def check(x):
        try:
            outputs = served.predict(x)
        except (TypeError, ValueError) as error:
            said(error)
            return
        rows = np.asarray(x)
        assert rows.shape == (len(rows), *ROW)
        assert np.isfinite(rows).all()
        assert outputs["anomaly_score"].shape == (len(rows),)

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_card_is_refused(served, tmp_path, size):
    whole = (served.folder / FILE).read_bytes()
    folder = tmp_path / "1"
    shutil.copytree(served.folder, folder)

    @fuzzed(size)
    @given(damaged(whole))
    def check(data):
        (folder / FILE).write_bytes(data)
        try:
            card = ModelCard.read(folder)
        except DamagedModelError as error:
            said(error)
        else:  # spaces, or another spelling of the same
            assert card == served.card

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_client_takes_no_nonsense(served, size):
    answers = [b""]

    class Nonsense(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answers[0])))
            self.end_headers()
            self.wfile.write(answers[0])

    real = RestServer(served.folder)
    with Client(real.address, "ecg") as client:
        known = client.signatures()
    _, answer = real.predict(
        {"signature_name": "serving_default", "inputs": {"x": np.zeros((2, 6)).tolist()}}
    )
    real.close()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Client(f"http://127.0.0.1:{server.server_port}", "ecg") as client:
        client._known = known
        x = np.zeros((2, 6))

        @fuzzed(size)
        @given(st.one_of(damaged(json.dumps(answer).encode()), st.binary(max_size=50)))
        def check(data):
            answers[0] = data
            try:
                outputs = client.predict(x)
            except (ServerError, RequestRefusedError) as error:
                said(error)
                return
            assert set(outputs) == set(known["serving_default"].outputs)
            assert all(len(value) == 2 for value in outputs.values())

        check()
    server.shutdown()
    server.server_close()
