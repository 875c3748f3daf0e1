"""Recurrent networks: what needs first derivatives works, what needs second ones is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature import HalfSquaredNorm, Potential, TraceSettings, compute_trace, plan_trace
from delvm_tf.curvature.nested_tape import nested_tape

L = keras.layers
SERIES, FILM = (4, 2), (3, 4, 1)
LAYERS = {
    "lstm": (SERIES, lambda unroll: L.LSTM(3, unroll=unroll)),
    "gru": (SERIES, lambda unroll: L.GRU(3, unroll=unroll)),
    "simple": (SERIES, lambda unroll: L.SimpleRNN(3, unroll=unroll)),
    "backwards": (SERIES, lambda unroll: L.GRU(3, unroll=unroll, go_backwards=True)),
    "both ways": (SERIES, lambda unroll: L.Bidirectional(L.LSTM(2, unroll=unroll))),
    "cells": (SERIES, lambda unroll: L.RNN([L.LSTMCell(3), L.GRUCell(2)], unroll=unroll)),
    "convolutional": (FILM, lambda unroll: L.ConvLSTM1D(2, 2, unroll=unroll)),
}
SECOND = {
    "auto": dv.ScoreMatching,
    "exact": lambda: dv.ScoreMatching("exact"),
    "hutchinson": lambda: dv.ScoreMatching("hutchinson"),
    "nested tape": lambda: dv.ScoreMatching("nested_tape"),
    "sliced": dv.SlicedScoreMatching,
}
FIRST = {
    "denoising": lambda: dv.DenoisingScoreMatching(0.3, seed=0),
    "reconstruction": lambda: dv.Reconstruction(noise=1.0, seed=0),
    "cd": lambda: dv.ContrastiveDivergence(k=2, seed=0),
    "langevin": lambda: dv.ContrastiveDivergence(
        k=2, sampler=dv.samplers.Langevin(0.1), persistent=True, chains=6, seed=0
    ),
}


def some_slow(kinds, quick):
    """The names of all kinds, of which only some run in the quick tests."""
    return [pytest.param(k, marks=[] if k in quick else pytest.mark.slow) for k in kinds]


def sequential(shape, *layers):
    return keras.Sequential([keras.Input(shape, dtype=keras.config.dtype_policy().name), *layers])


def adapted(network, objective, x):
    dtype = keras.config.dtype_policy()
    model = dv.DELVM(network, objective=objective, dtype=dtype)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    return model


def data(shape, rng):
    return rng.normal(size=(10, *shape)).astype("float32")


def loss_and_gradients(model, z):
    @tf.function
    def computed(z):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.objective.compute(model, z, training=True).loss)
        return loss, tape.gradient(loss, [v.value for v in model.network.trainable_variables])

    return computed(z)


@pytest.mark.parametrize("objective", some_slow(SECOND, {"auto", "sliced"}))
def test_second_derivatives_of_loops_are_refused_before_a_step(objective, rng):
    x = data(SERIES, rng)
    model = adapted(sequential(SERIES, L.LSTM(3)), SECOND[objective](), x)
    with pytest.raises(ValueError, match=r"a loop, .*lstm.*DenoisingScoreMatching.*unroll"):
        model.fit(x, batch_size=5, verbose=0)
    if objective != "sliced":
        with pytest.raises(ValueError, match="contains a loop"):
            model.objective.plan(model)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_recurrent_layer_is_known_to_loop(kind, rng):
    shape, make = LAYERS[kind]
    potential = Potential(sequential(shape, make(unroll=False)), HalfSquaredNorm())
    with pytest.raises(ValueError, match="contains a loop"):
        plan_trace("auto", potential, shape, TraceSettings())
    unrolled = Potential(sequential(shape, make(unroll=True)), HalfSquaredNorm())
    plan = plan_trace("auto", unrolled, shape, TraceSettings())
    assert "cost      unknown" in str(plan)


class Loop(L.Layer):
    """x after three turns of a loop."""

    def call(self, x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y)), (0, x))[1]


class Looping(dv.EnergyModel):
    """An energy with a loop that is no network's."""

    def build_parameters(self, input_shape):
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def normalized_energy(self, z):
        return self.factor * tf.reduce_sum(tf.map_fn(tf.square, z), axis=1)


def test_loops_of_own_layers_functions_and_energies_are_found(rng):
    x = data((3,), rng)
    for inner in (Loop(), L.Lambda(lambda t: tf.map_fn(tf.sin, t)), sequential((3,), Loop())):
        model = adapted(sequential((3,), L.Dense(3, "tanh"), inner), dv.ScoreMatching(), x)
        with pytest.raises(ValueError, match="contains a loop"):
            model.fit(x, verbose=0)
    model = Looping()
    model.adapt(x)
    model.compile("adam")
    with pytest.raises(ValueError, match="contains a loop"):
        model.fit(x, verbose=0)


@pytest.mark.parametrize("kind", some_slow(LAYERS, {"lstm"}))
def test_denoising_has_the_gradients_of_the_unrolled_network(kind, rng):
    keras.config.set_dtype_policy("float64")
    shape, make = LAYERS[kind]
    x = rng.normal(size=(10, *shape))
    networks = [sequential(shape, make(unroll)) for unroll in (False, True)]
    networks[1].set_weights(networks[0].get_weights())
    results = []
    for network in networks:
        model = adapted(network, dv.DenoisingScoreMatching(0.3, seed=3), x)
        results.append(loss_and_gradients(model, tf.constant(x)))
    (loss, gradients), (expected, expected_gradients) = results
    np.testing.assert_allclose(loss, expected, rtol=1e-10)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-8, atol=1e-11)
        assert np.any(wanted)


@pytest.mark.parametrize("objective", some_slow(FIRST, {"denoising", "cd"}))
def test_cheap_objectives_train_on_batches_of_several_sizes(objective, rng):
    x = data(SERIES, rng)
    model = adapted(sequential(SERIES, L.GRU(3)), FIRST[objective](), x)
    before = model.network.get_weights()
    history = model.fit(x, batch_size=6, epochs=2, verbose=0).history  # 6 and 4
    assert np.isfinite(history["loss"]).all()
    assert all(np.any(a != b) for a, b in zip(before, model.network.get_weights(), strict=True))


def test_unrolled_networks_have_exact_traces(rng):
    keras.config.set_dtype_policy("float64")
    network = sequential(SERIES, L.SimpleRNN(2, unroll=True))
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    potential, x = Potential(network, HalfSquaredNorm(), "float64"), rng.normal(size=(2, *SERIES))
    plan = plan_trace("exact", potential, SERIES, TraceSettings())
    got = compute_trace(plan, potential, tf.constant(x), keras.random.SeedGenerator(0))
    expected = nested_tape(potential, tf.constant(x))
    assert plan.exact
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-9)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-9)


SERVED = {
    "both ways": (SERIES, lambda: L.Bidirectional(L.LSTM(2))),
    "cells": (SERIES, lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2)])),
    "convolutional": (FILM, lambda: L.ConvLSTM1D(2, 2)),
    "dropout": (SERIES, lambda: L.LSTM(3, dropout=0.2, recurrent_dropout=0.2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVED)
def test_recurrent_models_are_served_after_denoising(kind, rng, tmp_path):
    shape, make = SERVED[kind]
    x = data(shape, rng)
    model = adapted(sequential(shape, make()), dv.DenoisingScoreMatching(0.3), x)
    model.fit(x, batch_size=5, verbose=0)
    dv.export_saved_model(model, tmp_path / "served")
    outputs = dv.serving.load(tmp_path / "served").predict(x)
    np.testing.assert_allclose(
        outputs["reconstruction_error"], model.reconstruction_error(x), rtol=1e-5
    )


def test_recurrent_models_are_refused_as_onnx_with_the_reason(rng, tmp_path):
    model = adapted(
        sequential(SERIES, L.LSTM(2)), dv.DenoisingScoreMatching(0.3), data(SERIES, rng)
    )
    with pytest.raises(ValueError, match=r"ONNX: it runs a loop, .*lstm.*Export a SavedModel"):
        dv.export_onnx(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
