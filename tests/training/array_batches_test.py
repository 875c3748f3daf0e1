"""The order of the rows, and where the rows themselves are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.training.array_batches import array_batches


def functions_of(dataset):
    """The graphs of the functions that a dataset and those before it map."""
    mapped = getattr(dataset, "_map_func", None)
    if mapped is not None:
        yield mapped.function.graph.as_graph_def()
    for before in dataset._inputs():
        yield from functions_of(before)


def test_the_graph_holds_no_copy_of_the_rows():
    """Graphs end at 2 GB; arrays do not."""
    x = np.random.default_rng(0).normal(size=(500, 40)).astype("float32")
    y, weights = np.arange(500), np.ones(500, "float32")
    dataset = array_batches((x, y, weights), 64, shuffle=True, epochs=range(2))
    sizes = [graph.ByteSize() for graph in functions_of(dataset)]
    assert sizes
    assert sum(sizes) < 20_000 < x.nbytes


def test_every_epoch_has_each_row_once_with_its_label_and_weight():
    x = np.arange(20, dtype="float32")[:, None]
    dataset = array_batches((x, np.arange(20), tf.range(20.0)), 6, True, range(3, 5))
    assert len(dataset) == 8
    read = [tuple(part.numpy() for part in batch) for batch in dataset]
    orders = []
    for begin in (0, 4):
        parts = [np.concatenate(part) for part in zip(*read[begin : begin + 4], strict=True)]
        np.testing.assert_array_equal(parts[0][:, 0], parts[1])
        np.testing.assert_array_equal(parts[0][:, 0], parts[2])
        assert sorted(parts[1]) == list(range(20))
        orders.append(parts[1].tolist())
    assert orders[0] != orders[1]


class Seen(keras.Model):
    """Notes the rows that it is given, which are numbered."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def train_step(self, data):
        x = data[0] if isinstance(data, tuple) else data
        self.batches.append(x.numpy()[:, 0].tolist())
        return {"loss": 0.0}


@pytest.mark.parametrize("batch_size", [5, 6])
@pytest.mark.parametrize("shuffle", [True, False, "batch"])
def test_rows_come_in_the_order_of_keras(shuffle, batch_size):
    """So results do not depend on who reads the arrays."""
    x = np.arange(20, dtype="float32")[:, None]
    orders = []
    for own in (True, False):
        model = Seen()
        model.compile(run_eagerly=True)
        keras.utils.set_random_seed(7)
        if own:
            data = array_batches((x,), batch_size, shuffle)
            model.fit(data, epochs=2, shuffle=False, verbose=0)
        else:
            model.fit(x, batch_size=batch_size, epochs=2, shuffle=shuffle, verbose=0)
        orders.append(model.batches)
    assert orders[0] == orders[1]
    assert len(orders[0]) == 8


@pytest.mark.parametrize(("batch_size", "known"), [(5, 5), (6, None)])
def test_types_stay_and_sizes_are_known_where_all_batches_have_the_same(batch_size, known):
    for dtype in (np.float64, np.float16, np.uint8, np.int64):
        (spec,) = [array_batches((np.zeros((20, 3), dtype),), batch_size).element_spec]
        assert (spec.shape.as_list(), spec.dtype) == ([known, 3], tf.as_dtype(dtype))


def test_chains_are_saved_once(tmp_path):
    import h5py

    objective = dv.ContrastiveDivergence(persistent=True, chains=17, buffer=23, seed=0)
    model = dv.DELVM(dv.networks.ffnn((4,)), objective=objective)
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    model.adapt(x)
    model.compile("adam")
    model.fit(x, verbose=0)
    model.save_weights(tmp_path / "x.weights.h5")
    found = []
    with h5py.File(tmp_path / "x.weights.h5") as file:
        file.visititems(lambda name, item: found.append(getattr(item, "shape", None)))
    assert found.count((23, 6)) == 1
    assert found.count((23,)) == 1
    state = [np.asarray(v) for v in objective.variables]
    model.fit(x, verbose=0)
    model.load_weights(tmp_path / "x.weights.h5")
    for variable, value in zip(objective.variables, state, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert isinstance(model, keras.Model)
