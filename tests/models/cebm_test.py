"""Conjugate energies against the integral over hidden variables that defines them."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature import MixtureLogPartition, Outer
from delvm_tf.curvature.cost import bytes_per_probe
from delvm_tf.models.mixture_prior import MixturePrior
from delvm_tf.samplers import Langevin

GRID = np.linspace(-25.0, 25.0, 20_001)


def randomized(model, rng, spread=0.5):
    """Give every weight of a model a random value."""
    for variable in model.trainable_variables:
        variable.assign(spread * rng.normal(size=variable.shape))
    return model


def tiny(rng, latents=2, units=(4,), d=3, **kwargs):
    network = dv.networks.ffnn(units, "tanh", dtype="float64")
    kwargs = {"normalization": "none", "dtype": "float64", **kwargs}
    model = dv.CEBM(network, latents=latents, **kwargs)
    model.build((None, d))
    return randomized(model, rng)


def statistics(model, x):
    """The heads a and b by hand, (batch, latents) each."""
    hidden = np.tanh(x @ model.network.layers[0].kernel.numpy() + model.network.layers[0].bias)
    f = hidden @ model.heads.kernel.numpy() + model.heads.bias.numpy()
    return f[:, : model.latents], f[:, model.latents :]


def normal_density(h, mean, variance):
    return np.exp(-np.square(h - mean) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def moments(weights):
    """Integral, mean and variance of an unnormalised density on the grid."""
    total = np.trapezoid(weights, GRID)
    mean = np.trapezoid(weights * GRID, GRID) / total
    return total, mean, np.trapezoid(weights * np.square(GRID - mean), GRID) / total


def test_the_energy_and_posterior_are_integrals_over_normal_hidden_variables(rng):
    model, x = tiny(rng), rng.normal(size=(4, 3)) * 2
    a, b = statistics(model, x)
    prior = normal_density(GRID, 0.0, 1.0)
    results = np.array(
        [
            [
                moments(prior * np.exp(a_j * GRID - b_j**2 * GRID**2))
                for a_j, b_j in zip(*pair, strict=True)
            ]
            for pair in zip(a, b, strict=True)
        ]
    )
    np.testing.assert_allclose(model.energy(x), -np.log(results[..., 0]).sum(axis=1), rtol=1e-8)
    mean, variance = model.posterior(x)
    np.testing.assert_allclose(mean, results[..., 1], rtol=1e-8)
    np.testing.assert_allclose(variance, results[..., 2], rtol=1e-8)
    np.testing.assert_allclose(model.hidden(x), results[..., 1], rtol=1e-8)


def test_a_mixture_prior_is_integrated_out_too(rng):
    """E(x) = −log ∫ Σₖ πₖ N(h; μₖ, 1/ρₖ) exp(ha − h²b²) dh, an integral for each latent and k."""
    model, x = tiny(rng, components=3), rng.normal(size=(4, 3)) * 2
    a, b = statistics(model, x)
    logits, mu = model.prior.logits.numpy(), model.prior.mean.numpy()
    variances = np.exp(-model.prior.log_precision.numpy())
    pi = np.exp(logits) / np.exp(logits).sum()
    table = np.empty((4, 3, 2, 3))
    for n, k, j in itertools.product(range(4), range(3), range(2)):
        weights = normal_density(GRID, mu[k, j], variances[k, j])
        table[n, k, j] = moments(weights * np.exp(a[n, j] * GRID - b[n, j] ** 2 * GRID**2))
    joint = pi * table[..., 0].prod(axis=2)
    r = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.energy(x), -np.log(joint.sum(axis=1)), rtol=1e-8)
    np.testing.assert_allclose(model.responsibilities(x), r, rtol=1e-8)
    assert np.abs(r - 1 / 3).max() > 0.1
    expected = np.einsum("nk,nkj->nj", r, table[..., 1])
    squares = np.einsum("nk,nkj->nj", r, table[..., 2] + np.square(table[..., 1]))
    mean, variance = model.posterior(x)
    np.testing.assert_allclose(mean, expected, rtol=1e-8)
    np.testing.assert_allclose(model.hidden(x), expected, rtol=1e-8)
    np.testing.assert_allclose(variance, squares - np.square(expected), rtol=1e-7)


def test_a_mixture_of_standard_normal_components_is_the_standard_normal_prior(rng):
    mixture = tiny(rng, components=4)
    mixture.prior.mean.assign(np.zeros((4, 2)))
    mixture.prior.log_precision.assign(np.zeros((4, 2)))
    single = tiny(rng)
    for ours, theirs in zip(
        [*single.network.variables, *single.heads.variables],
        [*mixture.network.variables, *mixture.heads.variables],
        strict=True,
    ):
        ours.assign(theirs)
    x = rng.normal(size=(5, 3))
    for name in ("energy", "score", "hidden"):
        got, expected = getattr(mixture, name)(x), getattr(single, name)(x)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    for got, expected in zip(mixture.posterior(x), single.posterior(x), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    weights = tf.nn.softmax(mixture.prior.logits.value)
    np.testing.assert_allclose(mixture.responsibilities(x), tf.tile(weights[None], (5, 1)))


def mixture_outer(rng, latents=3, components=4):
    prior = MixturePrior(latents, components, dtype="float64")
    prior.build()
    for variable in prior.variables:
        variable.assign(rng.normal(size=variable.shape))
    return MixtureLogPartition(prior)


@pytest.mark.parametrize("shared", [False, True])
def test_quadratic_forms_of_a_mixture_equal_those_of_automatic_differentiation(shared, rng):
    outer, f = mixture_outer(rng), tf.constant(rng.normal(size=(5, 6)))
    tangents = tf.constant(rng.normal(size=(7, 1 if shared else 5, 6)))
    expected = Outer.quadratic_form(outer, f, tangents)
    np.testing.assert_allclose(outer.quadratic_form(f, tangents), expected, rtol=1e-11)


def test_a_mixture_stays_finite_and_right_far_out():
    """At a = 1e4 one component has all the weight and exp(A) has overflowed long ago."""
    outer = mixture_outer(np.random.default_rng(0))
    f = tf.constant([[1e4, -1e4, 1e4, 0.3, 0.0, 2.0]], tf.float64)
    k = int(tf.argmax(outer.responsibilities(f)[0]))
    mu, rho = outer.prior.means()[k], outer.prior.precisions()[k]
    a, b = np.split(f.numpy()[0], 2)
    partition = np.square(rho * mu + a) / (2 * (rho + 2 * b**2)) - 0.5 * np.log(rho + 2 * b**2)
    at_prior = rho * np.square(mu) / 2 - 0.5 * np.log(rho)
    expected = outer.prior.log_weights()[k] + np.sum(partition - at_prior)
    np.testing.assert_allclose(outer(f), [expected], rtol=1e-12)
    np.testing.assert_allclose(outer.responsibilities(f)[0, k], 1.0)


def test_draws_of_the_hidden_variables_have_the_posteriors_moments(rng):
    n = 40_000
    outer = mixture_outer(rng, latents=2)
    f = tf.constant(rng.normal(size=(1, 4)))
    draws = outer.sample_hidden(tf.tile(f, (n, 1)), tf.constant([1, 2]))
    mean, variance = outer.mean_hidden(f)[0].numpy(), outer.variance(f)[0].numpy()
    assert np.all(np.abs(draws.numpy().mean(axis=0) - mean) < 5 * np.sqrt(variance / n))
    np.testing.assert_allclose(draws.numpy().var(axis=0), variance, rtol=0.05)


BODIES = {
    "linear": ((3,), lambda: dv.networks.ffnn((4,), "linear", dtype="float64")),
    "deep": ((3,), lambda: dv.networks.ffnn((4, 5), "silu", dtype="float64")),
    "preset": (
        (4, 3, 1),
        lambda: dv.networks.cebm_cnn((3, 2), (3, 4), (1, 2), 4, dtype="float64"),
    ),
    "subclassed": ((3,), lambda: Subclassed(dtype="float64")),
}  # fmt: skip


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(4, "tanh", dtype="float64")

    def call(self, x):
        return self.inner(x)


def losses_and_gradients(model, x, trace, memory_budget=2.0, graph=False):
    objective = dv.ScoreMatching(trace=trace, memory_budget=memory_budget)
    weights = tf.constant(np.linspace(0.5, 1.5, len(x)))

    def run(z):
        with tf.GradientTape() as tape:
            value = objective.compute(model, z, training=True)
            loss = tf.reduce_sum(weights * value.loss)
        return value.loss, tape.gradient(loss, model.trainable_variables)

    if not graph:
        return run(x)
    signature = [tf.TensorSpec((None, *x.shape[1:]), tf.float64)]
    return tf.function(run, input_signature=signature)(x)


CASES = [
    ("deep", 3, False),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        ("deep", None, False), ("preset", 3, False), ("preset", None, False),
        ("subclassed", 3, False), ("linear", 3, True))),
]  # fmt: skip


@pytest.mark.parametrize(("body", "components", "graph"), CASES)
def test_exact_traces_and_their_weight_gradients_are_those_of_nested_tapes(
    body, components, graph, rng
):
    """In chunks too, which compute their part again for the gradient; λₖ included.

    In a graph of unknown batch size, whether to use chunks is decided when it runs.
    """
    shape, network = BODIES[body]
    model = dv.CEBM(
        network(), latents=2, components=components, normalization="none", dtype="float64"
    )
    model.build((None, *shape))
    randomized(model, rng)
    x = tf.constant(rng.normal(size=(3, *shape)))
    wanted, wanted_gradients = losses_and_gradients(model, x, "nested_tape")
    names = {variable.name for variable in model.trainable_variables}
    assert components is None or {"logits", "mean", "log_precision"} <= names
    pairs = 10 if body == "preset" else 3 if graph else 2  # of probes and examples in a chunk
    chunked = pairs * bytes_per_probe(model.potential, x) / 2**30
    for budget in (chunked,) if graph else (2.0, chunked):
        losses, gradients = losses_and_gradients(model, x, "exact", budget, graph)
        np.testing.assert_allclose(losses, wanted, rtol=1e-9, atol=1e-11)
        for gradient, expected in zip(gradients, wanted_gradients, strict=True):
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-10)


def test_weight_gradients_of_the_prior_equal_finite_differences(rng):
    model, x = tiny(rng, components=2), tf.constant(rng.normal(size=(5, 3)))
    objective = dv.ScoreMatching(trace="exact")

    def loss():
        return float(tf.reduce_sum(objective.compute(model, x, training=True).loss))

    for variable in model.prior.trainable_variables:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(objective.compute(model, x, training=True).loss)
        gradient = tape.gradient(value, variable.value).numpy()
        start, h = variable.numpy(), 1e-6
        for index in np.ndindex(*variable.shape):
            step = np.zeros(variable.shape)
            step[index] = h
            variable.assign(start + step)
            above = loss()
            variable.assign(start - step)
            slope = (above - loss()) / (2 * h)
            variable.assign(start)
            np.testing.assert_allclose(gradient[index], slope, rtol=1e-5, atol=1e-7)


def test_the_network_is_one_flat_graph_for_the_propagation(rng):
    model = tiny(rng)
    plan = dv.ScoreMatching(trace="exact").plan(model)
    assert plan.exact
    assert plan.probe_count == 3
    assert plan.cost is not None
    layers = [layer.name for layer in model.potential.network.layers[1:]]
    assert layers == ["dense_1", "heads"]


@pytest.mark.parametrize(("components", "precision"), [(None, "zero"), (3, "scalar")])
def test_the_reconstruction_is_a_step_down_the_energy(components, precision, rng):
    model, x = (
        tiny(rng, components=components, visible_precision=precision),
        rng.normal(size=(4, 3)),
    )
    h = 1e-5
    slopes = np.stack(
        [(model.energy(x + h * e) - model.energy(x - h * e)) / (2 * h) for e in np.eye(3)], axis=1
    )
    np.testing.assert_allclose(model.reconstruct(x), x - slopes, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(model.score(x), -slopes, rtol=1e-6, atol=1e-7)
    expected = np.square(slopes).sum(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(x), expected, rtol=1e-5, atol=1e-8)


def test_the_energy_has_no_quadratic_part_unless_asked_for(rng):
    bare, quadratic = tiny(rng), tiny(rng, visible_precision=None)
    x = rng.normal(size=(4, 3))
    for ours, theirs in zip(bare.variables, quadratic.variables, strict=False):
        theirs.assign(ours)
    difference = quadratic.energy(x).numpy() - bare.energy(x).numpy()
    np.testing.assert_allclose(difference, 0.5 * np.square(x).sum(axis=1), rtol=1e-9)


def test_features_are_the_maps_of_the_body_and_the_posterior_mean(rng):
    x = rng.normal(size=(3, 8, 8, 1)).astype("float32")
    body = dv.networks.cebm_cnn((3, 2), 3, (1, 2), 5)
    model = dv.CEBM(body, latents=4, normalization="none")
    hidden = model.hidden(x)
    first = body.layers[0](x)
    second = body.layers[1](first)
    dense = body(x)
    pooled = [keras.ops.reshape(keras.ops.max_pool(m, 2), (3, -1)) for m in (first, second)]
    expected = np.concatenate([*pooled, dense, hidden], axis=1)
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.features(x, layers="last"), hidden, rtol=1e-6)


def test_training_lowers_the_objective_and_moves_the_prior(rng):
    x = (rng.normal(size=(300, 4)) * [3, 1, 1, 1]).astype("float32")
    model = dv.CEBM(dv.networks.ffnn((16,), "silu", seed=0), latents=5, components=3)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    before = [variable.numpy() for variable in model.prior.variables]
    losses = model.fit(x, batch_size=50, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, variable in zip(before, model.prior.variables, strict=True):
        assert np.abs(variable.numpy() - old).max() > 1e-3


def test_mixed_bfloat16_keeps_the_prior_and_the_energy_in_float32(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = dv.CEBM(dv.networks.ffnn((8,), "silu"), latents=3, components=2)
    x = rng.normal(size=(32, 3)).astype("float32")
    model.adapt(x)
    model.compile()
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    assert model.energy(x).dtype == model.prior.mean.dtype == "float32"
    assert model.predict(x, verbose=0).dtype == np.float32


@pytest.mark.parametrize(
    ("components", "images"),
    [
        (3, False), pytest.param(3, True, marks=pytest.mark.slow),
        pytest.param(None, False, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_saved_model_is_the_same_model(components, images, rng, tmp_path):
    if images:
        shape, body = (6, 6, 1), dv.networks.cebm_cnn((3,), 3, 2, 5)
    else:
        shape, body = (3,), dv.networks.ffnn((3,), "silu")
    x = rng.normal(size=(20, *shape)).astype("float32")
    objective = dv.ScoreMatching("hutchinson", seed=1)
    model = dv.CEBM(body, latents=4, components=components, scale=2.0, objective=objective)
    model.adapt(x)
    model.compile("adam")
    model.fit(x, batch_size=10, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.latents == 4
    assert loaded.components == components
    assert loaded.visible.precision == "zero"
    assert len(loaded.variables) == len(model.variables)
    for name in ("score", "features"):
        np.testing.assert_array_equal(getattr(loaded, name)(x), getattr(model, name)(x))
    histories = [
        m.fit(x, batch_size=10, verbose=0, shuffle=False).history["loss"] for m in (model, loaded)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.energy(x), model.energy(x))


def test_a_stage_of_layer_by_layer_training_shares_the_prior_and_the_quadratic_part(rng):
    model = dv.CEBM(
        dv.networks.ffnn((5, 4), "tanh", seed=0), latents=3, components=2, normalization="none",
        visible_precision="diagonal", visible_bias="each",
    )  # fmt: skip
    model.build((None, 3))
    randomized(model, rng)
    before = model.visible.root.numpy()
    stage = model.layer_stage(1)
    assert stage.prior is model.prior
    assert len(model.prior.variables) == 3
    np.testing.assert_array_equal(stage.visible.root, before)
    assert stage.potential.network.layers[1] is model.network.layers[0]
    x = rng.normal(size=(8, 3)).astype("float32")
    assert stage.hidden(x).shape == (8, 3)
    joined = stage.heads(model.network.layers[0](x))
    energy = stage.visible.energy(tf.constant(x)) - model.outer(joined)
    np.testing.assert_allclose(stage.energy(x), energy, rtol=1e-5)


def test_the_chain_sampler_is_the_authors():
    sampler = dv.CEBM(dv.networks.ffnn((3,)), latents=2).chain_sampler
    assert isinstance(sampler, Langevin)
    assert (sampler.step_size, sampler.noise_level) == (1.0, 7.5e-3)


def test_x_given_h_cannot_be_sampled(rng):
    for precision in ("zero", None):
        model = tiny(rng, visible_precision=precision)
        with pytest.raises(TypeError, match="CEBM has no Gibbs sampler"):
            model.gibbs_step(tf.zeros((2, 3), tf.float64), tf.constant([0, 1]), 1.0)


def test_there_are_no_responsibilities_without_a_mixture(rng):
    with pytest.raises(TypeError, match=r"prior of this CEBM is one Gaussian.*components=K"):
        tiny(rng).responsibilities(np.zeros((2, 3)))


@pytest.mark.parametrize("name", ["latents", "components"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "4"])
def test_numbers_must_be_positive_integers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, got {value!r}"):
        dv.CEBM(dv.networks.ffnn((3,)), **{name: value})


def test_a_bias_needs_a_quadratic_part():
    with pytest.raises(ValueError, match="visible_bias='each' has no effect without a quadratic"):
        dv.CEBM(dv.networks.ffnn((3,)), visible_bias="each")


def test_a_network_without_features_is_refused():
    summed = keras.Sequential([keras.Input((3,)), SumOut()])
    with pytest.raises(ValueError, match=r"must give \(batch, features\).*got \(None,\)"):
        dv.CEBM(summed).build((None, 3))


class SumOut(keras.layers.Layer):
    def call(self, x):
        return keras.ops.sum(x, axis=1)
