"""Tables as they are, with text and missing cells, scored where they are served."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from parity_checks.servers import GrpcServer, RestServer

import delvm_tf as dv
from delvm_tf.schema import learn_schema

CLIENT = """
import json, sys
sys.modules["delvm_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

folder, cells = sys.argv[1], json.loads(sys.argv[2])
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
    signature = loaded.signature_def["table"]
    feed = {signature.inputs[name].name: np.array(values) for name, values in cells.items()}
    outputs = {key: tensor.name for key, tensor in signature.outputs.items()}
    found = session.run(outputs, feed)
print(json.dumps({key: value.tolist() for key, value in found.items()}))
"""


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "Größe in cm": rng.normal(170, 10, n),
        "when": 1.7e9 + rng.normal(size=n),
        "on": rng.random(n) > 0.5,
        "colour": rng.choice(["red", "blue"], n),
    })  # fmt: skip
    frame.loc[::7, "Größe in cm"] = np.nan
    frame.loc[::11, "colour"] = None
    return frame


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Training table, schema, detector and the folder of its SavedModel."""
    table = rows(80)
    schema = learn_schema(table)
    x = schema.encode(table)
    model = dv.DELVM(dv.networks.ffnn((5,), seed=0), normalization="zscore")
    with pytest.warns(UserWarning, match="spreads away from zero"):
        model.adapt(x)
    detector = dv.AnomalyDetector(model, "contamination", contamination=0.3).fit(x)
    folder = dv.export_saved_model(detector, tmp_path_factory.mktemp("table"), schema=schema)
    return table, schema, detector, folder


def cells_of(schema, table):
    """The cells of a table by the inputs of a signature."""
    return dict(zip(schema.inputs, schema.cells(table).values(), strict=True))


def new_rows():
    table = rows(30, seed=1)
    table.loc[3, "colour"] = "violet"  # not seen in training
    return table


def same(found, schema, detector, table):
    x = schema.encode(table)
    expected = detector.anomaly_score(x)
    np.testing.assert_allclose(found["anomaly_score"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(x))


def test_the_loader_takes_tables_in_any_order(served):
    _, schema, detector, folder = served
    table = new_rows()
    model = dv.serving.load(folder)
    assert model.card.schema == schema
    same(model.predict(table, "table", batch_size=7), schema, detector, table)
    other = table[["colour", "when", "on", "Größe in cm"]].assign(id=range(30))
    same(model.predict(other, "table"), schema, detector, table)
    with pytest.raises(ValueError, match="lacks the columns colour"):
        model.predict(table.drop(columns="colour"), "table")
    with pytest.raises(ValueError, match="the table has no rows"):
        model.predict(table[:0], "table")
    with pytest.raises(TypeError, match="'colour' held text in training, and holds number now"):
        model.predict(table.assign(colour=1), "table")
    with pytest.raises(ValueError, match=r"refuses rows 0 to 29: (.|\n)*at most 2 of the 4 cells"):
        model.predict(table.assign(colour=None, on=None, when=np.nan), "table")


@pytest.mark.parametrize("server", [RestServer, GrpcServer])
def test_the_client_takes_tables_in_any_order(served, server):
    _, schema, detector, folder = served
    table = new_rows()
    running = server(folder)
    try:
        with dv.serving.Client(running.address, "ecg", batch_size=8) as client:
            same(client.predict(table, "table"), schema, detector, table)
            same(client.predict(table[table.columns[::-1]], "table"), schema, detector, table)
            with pytest.raises(ValueError, match="lacks the columns Größe in cm; it has when, on"):
                client.predict(table.drop(columns="Größe in cm"), "table")
            with pytest.raises(ValueError, match="the table has no rows"):
                client.predict(table[:0], "table")
            with pytest.raises(TypeError, match=r"'when' held number in .* and holds text now"):
                client.predict(table.assign(when="now"), "table")
            same(client.predict(table.assign(ON=7), "table"), schema, detector, table)
            with pytest.raises(dv.serving.RequestRefusedError, match="at most 2 of the 4 cells"):
                client.predict(table.assign(colour=None, on=None, when=np.nan), "table")
    finally:
        running.close()


def test_bare_tensorflow_scores_named_columns(served):
    _, schema, detector, folder = served
    table = new_rows()
    cells = cells_of(schema, table)
    given = json.dumps({name: values.tolist() for name, values in cells.items()})
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, str(folder), given],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    same(json.loads(result.stdout.splitlines()[-1]), schema, detector, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": [np.inf, 0.0]}, "infinite values in the column when"),
        ({"colour": ["red"]}, "the columns differ in length"),
        ({"gr__e_in_cm": [], "when": [], "on": [], "colour": []}, "the request has no rows"),
        (
            {
                "gr__e_in_cm": [1.0] * 5000,
                "when": [1.0] * 5000,
                "on": [1.0] * 5000,
                "colour": ["red"] * 5000,
            },
            "a request may have 4096 rows",
        ),
    ],
)
def test_cells_that_make_no_rows_are_refused_in_the_graph(served, change, message):
    folder = served[3]
    function = tf.saved_model.load(str(folder)).signatures["table"]
    specs = function.structured_input_signature[1]
    cells = {"gr__e_in_cm": [1.0, 2.0], "when": [0.0, 0.0], "on": [1.0, 0.0], "colour": ["a", ""]}
    cells = {name: tf.constant(v, specs[name].dtype) for name, v in {**cells, **change}.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(**cells)


def test_a_schema_of_other_columns_is_refused(served, tmp_path):
    _, _, detector, _ = served
    other = learn_schema(pd.DataFrame({"a": [1, 2], "b": [1.0, 3.0]}))
    with pytest.raises(ValueError, match=r"makes 2 numbers of a row, and .* \(8,\)"):
        dv.export_saved_model(detector, tmp_path, schema=other)
    assert not list(tmp_path.iterdir())


def test_names_that_a_graph_cannot_tell_apart_get_numbers():
    schema = learn_schema(
        pd.DataFrame([[1, 2, 3, 4], [2, 3, 4, 5]], columns=["a b", "a_b", "A.b", "1"])
    )
    assert list(schema.inputs) == ["a_b", "a_b_2", "a_b_3", "c_1"]
