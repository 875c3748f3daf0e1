"""Propagation through networks drawn at random, against nested tapes in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from comparison import LogSumExp
from hypothesis import given, settings
from hypothesis import strategies as st
from taylor_test import exact, moments, one_input_at_a_time, randomized

from delvm_tf.curvature import (
    GaussianLogPartition,
    HalfSquaredNorm,
    Outer,
    Potential,
    SoftplusSum,
    TraceSettings,
    compute_trace,
    plan_trace,
)

L = keras.layers


class SquaredSum(Outer):
    """Mixes all outputs, and is a polynomial of them."""

    def __call__(self, f):
        return tf.square(tf.reduce_sum(f, axis=list(range(1, f.shape.rank))))

    def mean_hidden(self, f):
        return f


OUTERS = [HalfSquaredNorm, SoftplusSum, GaussianLogPartition, LogSumExp, SquaredSum]
SHAPES = [(3,), (5, 2), (4, 3, 2)]
ACTIVATIONS = ["linear", "relu", "softplus", "gelu", "silu", "tanh", "elu", "leaky_relu"]
MERGES = [L.Add, L.Subtract, L.Average, L.Multiply, L.Maximum, L.Minimum, L.Concatenate]
# What a layer is made by, for each number of spatial axes.
AFFINE = {
    0: [lambda **options: L.Dense(3, **options)],
    1: [
        lambda **options: L.Dense(2, **options),
        lambda **options: L.Conv1D(2, 2, padding="causal", **options),
        lambda **options: L.Conv1D(2, 3, padding="same", **options),
        lambda **options: L.DepthwiseConv1D(2, padding="same", **options),
    ],
    2: [
        lambda **options: L.Dense(2, **options),
        lambda **options: L.Conv2D(2, (2, 3), padding="same", **options),
        lambda **options: L.SeparableConv2D(2, 2, padding="same", **options),
        lambda **options: L.Conv2DTranspose(1, 2, padding="same", **options),
    ],
}
POOLING = {
    1: [
        lambda: L.MaxPooling1D(2, 1),
        lambda: L.MaxPooling1D(2, padding="same"),
        lambda: L.AveragePooling1D(2),
        lambda: L.GlobalMaxPooling1D(),
        lambda: L.Flatten(),
    ],
    2: [
        lambda: L.MaxPooling2D(2),
        lambda: L.MaxPooling2D(2, 1, padding="same"),
        lambda: L.AveragePooling2D((1, 2)),
        lambda: L.GlobalAveragePooling2D(),
        lambda: L.Flatten(),
    ],
}
NORMALIZATION = [
    lambda: L.BatchNormalization(),
    lambda: L.LayerNormalization(epsilon=0.1),
    lambda: L.RMSNormalization(epsilon=0.1),
    lambda: L.Softmax(),
]
OTHERS = [
    lambda: L.Activation("mish"),
    lambda: L.LeakyReLU(0.2),
    lambda: L.PReLU(),
    lambda: L.ReLU(max_value=1.0),
    lambda: L.Dropout(0.5),
]


def draw_network(draw, shape):
    """A chain of three to five steps, each a layer or the merge of two branches."""
    activation = st.sampled_from(ACTIVATIONS)
    inputs = tensor = keras.Input(shape, dtype="float64")
    for _ in range(draw(st.integers(3, 5))):
        lengths = tensor.shape[1:-1]
        kinds = ["affine", "affine", "merge", "normalisation", "other"]
        if min(lengths, default=0) > 1:
            kinds.append("pooling")
        kind = draw(st.sampled_from(kinds))
        if kind == "affine":
            make = draw(st.sampled_from(AFFINE[len(lengths)]))
            tensor = make(activation=draw(activation))(tensor)
        elif kind == "merge":
            branch = L.Dense(tensor.shape[-1], draw(activation))(tensor)
            tensor = draw(st.sampled_from(MERGES))()([branch, tensor])
        else:
            choices = {"normalisation": NORMALIZATION, "other": OTHERS}
            make = draw(st.sampled_from(choices.get(kind) or POOLING[len(lengths)]))
            tensor = make()(tensor)
    return keras.Model(inputs, L.Dense(2, draw(activation))(tensor))


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 2**16), st.sampled_from(OUTERS))
def test_propagation_equals_nested_tapes(shape, data, seed, outer):
    """By basis vectors, and by what the plan calls exact, which may take fewer."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.nn, "moments", moments)
        keras.config.set_dtype_policy("float64")
        network = randomized(draw_network(data.draw, shape), rng)
        x = tf.constant(rng.normal(size=(2, *shape)))
        potential = Potential(network, outer(), "float64")
        expected = one_input_at_a_time(potential, x)
        for got, wanted in zip(exact(potential, x), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
        for trace in ("exact", "lattice"):
            plan = plan_trace(trace, potential, shape, TraceSettings())
            assert plan.exact
            planned = compute_trace(plan, potential, x, keras.random.SeedGenerator(0))
            np.testing.assert_allclose(planned.laplacian, expected.laplacian, rtol=1e-7, atol=1e-9)
