"""The convolutional RBM against a Gaussian RBM with the same connections written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from enumeration import bits, log_sum_exp, randomize

import delvm_tf as dv

SHAPE = (2, 2, 2)


def make(rng, **kwargs):
    model = dv.ConvRBM(
        2, 3, normalization="none", visible_precision="scalar", dtype="float64", **kwargs
    )
    model.build((None, *SHAPE))
    return randomize(model, rng)


def written_out(model):
    """Kernel, visible bias and hidden bias of the dense machine with the same connections."""
    d = int(np.prod(SHAPE))
    units = np.asarray(model.network(np.eye(d).reshape(d, *SHAPE))).reshape(d, -1)
    c = np.asarray(model.network(np.zeros((1, *SHAPE)))).reshape(-1)
    return units - c, np.tile(np.asarray(model.visible.mean), 4), c


def test_free_energy_sums_the_hidden_units_out(rng):
    model = make(rng)
    kernel, b, c = written_out(model)
    x = rng.normal(size=(4, *SHAPE))
    flat, h = x.reshape(4, -1), bits(8)
    precision = np.square(float(model.visible.root))
    joint = 0.5 * precision * np.square(flat - b).sum(axis=1)[:, None] - (flat @ kernel + c) @ h.T
    np.testing.assert_allclose(model.energy(x), -log_sum_exp(-joint), rtol=1e-10)
    assert model.hidden(x).shape == (4, 2, 2, 2)


def test_gibbs_samples_are_those_of_the_dense_machine(rng):
    model = make(rng)
    dense = dv.GaussianRBM(8, normalization="none", visible_precision="scalar", dtype="float64")
    dense.build((None, 8))
    kernel, b, c = written_out(model)
    dense.network.set_weights([kernel, c])
    dense.visible.mean.assign(b)
    dense.visible.root.assign(model.visible.root)
    x = rng.normal(size=(50, *SHAPE))
    seed = tf.constant([3, 4])
    got = model.gibbs_step(tf.constant(x), seed, 1.0).numpy()
    expected = dense.gibbs_step(tf.constant(x.reshape(50, 8)), seed, 1.0).numpy()
    np.testing.assert_allclose(got.reshape(50, 8), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.reconstruct(x).numpy().reshape(50, 8),
                               dense.reconstruct(x.reshape(50, 8)), rtol=1e-9)  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"strides": 2, "padding": "valid", "filters": 3},
    ],
)
def test_training_saving_and_loading(options, tmp_path, rng):
    x = rng.normal(size=(12, 5, 5, 1)).astype("float32")
    model = dv.ConvRBM(**{"filters": 2, "kernel_size": 3, "seed": 1, **options})
    model.adapt(x)
    model.compile("adam")
    assert np.isfinite(model.fit(x, batch_size=6, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.arguments == model.arguments
    np.testing.assert_array_equal(loaded.energy(x), model.energy(x))
    assert model.features(x).shape == model.features(x, layers="last").shape


def test_score_matching_is_the_nested_tape(rng):
    x = tf.constant(rng.normal(size=(3, *SHAPE)))
    losses = []
    for trace in ("auto", "nested_tape"):
        model = make(np.random.default_rng(5), objective=dv.ScoreMatching(trace))
        losses.append(model.objective.compute(model, x, training=True).loss.numpy())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)


def test_bad_arguments_are_refused(rng):
    with pytest.raises(ValueError, match="filters must be one or more positive integers"):
        dv.ConvRBM(filters=0)
    with pytest.raises(ValueError, match="kernel_size must be one or more positive integers"):
        dv.ConvRBM(kernel_size=-1)
    with pytest.raises(ValueError, match=r"takes images .* got inputs of shape \(6,\)"):
        dv.ConvRBM().adapt(rng.normal(size=(4, 6)))
