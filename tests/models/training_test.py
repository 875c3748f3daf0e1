"""`fit` with every kind of data and every habit of Keras."""

import csv
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import delvm_tf as dv

N, D, BATCH = 48, 6, 12


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 2.0, size=(N, D)).astype("float32")
    return x, rng.integers(0, 2, N), rng.uniform(0.5, 2.0, N).astype("float32")


def trained(*args, compile_arguments=None, network=None, **kwargs):
    """A model after two unshuffled epochs, and its history."""
    keras.utils.set_random_seed(0)
    network = network or dv.networks.ffnn((8,), activation="softplus", seed=0)
    model = dv.DELVM(network, scale=2.0)
    model.adapt(data()[0])
    model.compile(keras.optimizers.Adam(1e-2), **(compile_arguments or {}))
    kwargs = {"epochs": 2, "verbose": 0, "shuffle": False, **kwargs}
    return model, model.fit(*args, **kwargs).history


@functools.cache
def of_arrays(weighted=False):
    """What others are compared with, made once."""
    x, _, weights = data()
    return trained(x, batch_size=BATCH, sample_weight=weights if weighted else None)


def assert_same_weights(model, other, **tolerance):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-5, "atol": 1e-6, **tolerance})


class Batches(keras.utils.PyDataset):
    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return N // BATCH

    def __getitem__(self, index):
        part = slice(index * BATCH, (index + 1) * BATCH)
        batch = tuple(a[part] for a in self.arrays)
        return batch if len(batch) > 1 else batch[0]


@pytest.mark.parametrize(
    ("source", "elements"),
    [("arrays", 1), ("arrays", 3), ("tf.data", 2), ("PyDataset", 3),
     *(pytest.param(source, elements, marks=pytest.mark.slow) for source, elements in (
         ("arrays", 2), ("tf.data", 1), ("tf.data", 3), ("PyDataset", 1), ("PyDataset", 2)))],
)  # fmt: skip
def test_every_source_and_element_gives_the_same_training(source, elements):
    arrays = data()[:elements]
    expected, history = of_arrays(weighted=elements == 3)
    if source == "arrays":
        weight = {"sample_weight": arrays[2]} if elements == 3 else {}
        model, got = trained(*arrays[:2], batch_size=BATCH, **weight)
    elif source == "tf.data":
        element = arrays if elements > 1 else arrays[0]
        model, got = trained(tf.data.Dataset.from_tensor_slices(element).batch(BATCH))
    else:
        model, got = trained(Batches(arrays))
    assert_same_weights(model, expected)
    np.testing.assert_allclose(got["loss"], history["loss"], rtol=1e-5)


def test_a_training_step_is_the_gradient_of_the_mean_objective():
    """One step of plain gradient descent, computed by hand with numerical derivatives."""
    x, _, weight = data()
    model = dv.DELVM(
        dv.networks.ffnn((3,), "tanh", seed=0, dtype="float64"), scale=2.0, dtype="float64"
    )
    model.adapt(x)
    kernel, bias = model.network.get_weights()
    z = tf.constant(model.normalization(x))

    def loss(k):
        model.network.set_weights([k, bias])
        per_example = model.objective.compute(model, z, training=True).loss.numpy()
        return np.mean(weight * per_example)

    h, slope = 1e-6, np.zeros_like(kernel)
    for index in np.ndindex(*kernel.shape):
        step = np.zeros_like(kernel)
        step[index] = h
        slope[index] = (loss(kernel + step) - loss(kernel - step)) / (2 * h)
    model.network.set_weights([kernel, bias])
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(x, sample_weight=weight, batch_size=N, verbose=0)
    got = (kernel - model.network.get_weights()[0]) / 0.1
    np.testing.assert_allclose(got, slope, rtol=1e-4, atol=1e-6)  # Keras steps in float32 units


def test_a_weight_of_two_counts_an_example_twice_also_without_labels():
    x = data()[0]
    weights = np.ones(N, "float32")
    weights[:BATCH] = 2.0
    model, _ = trained(x, batch_size=N)
    losses = model.objective.compute(model, model.normalization(x), True).loss.numpy()
    doubled = np.concatenate([losses, losses[:BATCH]]).sum() / N  # Keras divides by the examples
    got = model.evaluate(x, sample_weight=weights, batch_size=N, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(doubled, rel=1e-5)
    history = model.fit(
        x, batch_size=N, verbose=0, validation_data=(x, None, weights), sample_weight=weights
    ).history
    assert history["loss"][0] == pytest.approx(doubled, rel=1e-5)
    assert history["val_loss"][0] != pytest.approx(model.evaluate(x, verbose=0)[0], rel=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [{"run_eagerly": True}, {"steps_per_execution": 2}, {"jit_compile": True}],
    ids=["run_eagerly", "steps_per_execution", "jit_compile"],
)
def test_compile_options_do_not_change_the_result(arguments):
    x = data()[0]
    expected, history = of_arrays()
    model, got = trained(x, batch_size=BATCH, compile_arguments=arguments)
    assert_same_weights(model, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["loss"], history["loss"], rtol=1e-4)


@pytest.mark.parametrize("entry", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_single_batches_are_the_same_without_a_graph(entry):
    x = data()[0][:BATCH]
    found = []
    for eager in (False, True):
        model, _ = trained(x, batch_size=BATCH, compile_arguments={"run_eagerly": eager})
        found.append(np.asarray(getattr(model, entry)(x)))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_metrics_are_the_terms_of_the_objective():
    x = data()[0]
    model, history = trained(x, batch_size=BATCH, validation_data=(x, None))
    names = {"loss", "half_squared_score", "energy_laplacian", "reconstruction_error"}
    assert set(history) == names | {"gradient_norm"} | {f"val_{name}" for name in names}
    result = model.evaluate(x, batch_size=BATCH, verbose=0, return_dict=True)
    error = model.reconstruction_error(x).numpy().mean()
    assert result["reconstruction_error"] == pytest.approx(error, rel=1e-5)
    assert result["half_squared_score"] == pytest.approx(error / 2, rel=1e-5)
    difference = result["half_squared_score"] - result["energy_laplacian"]
    assert result["loss"] == pytest.approx(difference, rel=1e-4)
    assert result["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)


def test_compiled_metrics_compare_labels_with_the_reconstruction_error():
    x, y, _ = data()
    metric = keras.metrics.MeanMetricWrapper(lambda y, e: e * keras.ops.cast(y, e.dtype), name="m")
    model, _ = trained(x, y, batch_size=BATCH, compile_arguments={"metrics": [metric]})
    result = model.evaluate(x, y, verbose=0, return_dict=True)
    assert result["m"] == pytest.approx(np.mean(model.reconstruction_error(x) * y), rel=1e-5)
    with pytest.raises(ValueError, match="the data hold no labels y"):
        model.evaluate(x, verbose=0)


def test_weight_decay_through_a_kernel_regulariser_is_part_of_the_loss():
    x = data()[0]
    regularised = dv.networks.ffnn((8,), "softplus", seed=0, kernel_regularizer="l2")
    model = dv.DELVM(regularised, scale=2.0)
    model.adapt(x)
    model.compile()
    result = model.evaluate(x, batch_size=N, verbose=0, return_dict=True)
    penalty = 0.01 * np.square(model.network.get_weights()[0]).sum()
    difference = result["half_squared_score"] - result["energy_laplacian"]
    assert result["loss"] == pytest.approx(difference + penalty, rel=1e-5)


def test_stock_callbacks_work(tmp_path):
    x = data()[0]
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", save_weights_only=True
        ),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "tensorboard", histogram_freq=1),
        keras.callbacks.LearningRateScheduler(lambda epoch: 1e-2 / (1 + epoch)),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=False),
    ]  # fmt: skip
    keras.utils.set_random_seed(0)
    model = dv.DELVM(dv.networks.ffnn((8,), "softplus", seed=0))
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True))
    model.fit(x, epochs=2, verbose=0, validation_data=(x,), callbacks=callbacks)
    assert len(list(csv.DictReader((tmp_path / "log.csv").open()))) == 2
    assert (tmp_path / "2.weights.h5").exists()
    assert list((tmp_path / "tensorboard").rglob("events*"))
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert np.isfinite(best.energy(x)).all()


def test_backup_and_restore_resumes_to_the_same_weights(tmp_path):
    x = data()[0]

    class Interruption(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(callbacks):
        keras.utils.set_random_seed(0)
        network = dv.networks.ffnn((8, 4), activation="softplus", seed=0)
        model = dv.DELVM(network, objective=dv.ScoreMatching("hutchinson", seed=5))
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(x, batch_size=BATCH, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
        return model

    whole = run([])
    backup = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        run([keras.callbacks.BackupAndRestore(backup), Interruption()])
    resumed = run([keras.callbacks.BackupAndRestore(backup)])
    assert_same_weights(resumed, whole)


@pytest.mark.parametrize(
    "kind", [*(pytest.param(k, marks=pytest.mark.slow) for k in ("dense", "convolutional")), "deep"]
)
def test_mixed_bfloat16_trains_with_float32_derivatives(kind, rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    shape = (6, 6, 1) if kind == "convolutional" else (6,)
    network = {
        "dense": lambda: dv.networks.ffnn((16,), "softplus", seed=0),
        "deep": lambda: dv.networks.ffnn((16, 8), "softplus", seed=0),
        "convolutional": lambda: dv.networks.cnn((8,), 3, seed=0),
    }[kind]()
    x = rng.normal(size=(64, *shape)).astype("float32")
    model = dv.DELVM(network)
    assert network.layers[0].compute_dtype == "bfloat16"
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, batch_size=16, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for value in (model.energy(x), model.score(x), model.reconstruction_error(x)):
        assert value.dtype == tf.float32
        assert np.isfinite(value).all()
    assert model.network.layers[0].kernel.dtype == "float32"


def test_training_separates_structured_normal_data_from_noise(rng):
    """Normal data on a line in ten dimensions, abnormal data of the same spread off it."""
    direction = rng.normal(size=(1, 10))
    normal = (rng.normal(size=(600, 1)) * direction + 0.1 * rng.normal(size=(600, 10))) * 2
    abnormal = rng.normal(size=(200, 10)) * normal.std()
    model = dv.DELVM(dv.networks.ffnn((32,), seed=0), scale=3.0)
    model.adapt(normal[:400])
    model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=4)
    model.fit(normal[:400], batch_size=100, epochs=30, verbose=0)
    scores = model.reconstruction_error(np.concatenate([normal[400:], abnormal]))
    assert roc_auc_score([0] * 200 + [1] * 200, scores) > 0.95


def test_a_learned_precision_stays_float32_under_mixed_bfloat16(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = dv.DELVM(dv.networks.ffnn((4,)), visible_precision="diagonal")
    x = rng.normal(size=(32, 6)).astype("float32")
    model.adapt(x)
    model.compile()
    model.fit(x, verbose=0)
    assert model.predict(x, verbose=0).dtype == np.float32


def test_the_end_of_a_stream_is_no_step(rng):
    """Keras counts one more step of the optimizer when a stream of unknown length ends."""
    x = rng.normal(size=(12, 4)).astype("float32")

    def batches():
        yield from (x[:6], x[6:])

    stream = tf.data.Dataset.from_generator(
        batches, output_signature=tf.TensorSpec((None, 4), tf.float32)
    )
    models = []
    for data in (x, stream):
        model = dv.DELVM(dv.networks.ffnn((3,), seed=0), objective=dv.SlicedScoreMatching(seed=0))
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(data, batch_size=6 if data is x else None, epochs=3, shuffle=False, verbose=0)
        models.append(model)
    assert [int(model.optimizer.iterations) for model in models] == [6, 6]
    for whole, streamed in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(whole, streamed, rtol=1e-5, atol=1e-7)
