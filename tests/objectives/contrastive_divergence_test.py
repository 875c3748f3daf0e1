"""Contrastive divergence against the likelihood, which is known for small models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf import samplers
from delvm_tf.curvature import SoftplusSum


class SmallDEM(dv.LatentEnergyModel):
    """Binary hidden variables over one or two visible values: its integral is taken on a grid."""

    outer = SoftplusSum()


def small_model(objective, units=2, seed=3, model_class=SmallDEM, dtype="float64"):
    network = keras.Sequential(
        [
            keras.Input((1,), dtype=dtype),
            keras.layers.Dense(
                units,
                dtype=dtype,
                kernel_initializer=keras.initializers.RandomNormal(1.0, seed=seed),
            ),
        ]
    )
    model = model_class(network, objective=objective, normalization="none", dtype=dtype)
    model.build((None, 1))
    return model


def likelihood_gradient(model, x):
    """Gradient of the mean of −log p(x), with Z from an integral on a grid."""
    grid = tf.constant(np.linspace(-15, 15, 6001)[:, None])
    with tf.GradientTape() as tape:
        log_z = tf.reduce_logsumexp(-model.normalized_energy(grid)) + np.log(30 / 6000)
        loss = tf.reduce_mean(model.normalized_energy(x)) + log_z
    return [g.numpy() for g in tape.gradient(loss, model.trainable_variables)]


def objective_gradient(model, x, draws=1):
    """Mean and standard error of the gradient of the objective over draws of the chains."""
    variables = model.trainable_variables

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.objective.compute(model, x, training=True).loss)
        return tape.gradient(loss, variables)

    drawn = [np.concatenate([g.numpy().ravel() for g in gradient()]) for _ in range(draws)]
    return np.mean(drawn, axis=0), np.std(drawn, axis=0, ddof=1) / np.sqrt(draws)


def data(n=4000):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(np.where(rng.random(n) < 0.7, 1.2, -2.0), 0.7)[:, None])


@pytest.mark.parametrize(
    "sampler",
    [samplers.Gibbs(), pytest.param(samplers.MALA(0.6), marks=pytest.mark.slow)],
    ids=["gibbs", "mala"],
)
def test_the_gradient_tends_to_that_of_the_likelihood(sampler):
    """With k its bias goes to nothing: seen at k = 60, and far off at k = 1."""
    x = data()
    exact = None
    for k, close in ((1, False), (60, True)):
        model = small_model(dv.ContrastiveDivergence(k=k, sampler=sampler, seed=0))
        exact = np.concatenate([g.ravel() for g in likelihood_gradient(model, x)])
        mean, error = objective_gradient(model, x, draws=12)
        deviation = np.abs(mean - exact) / error
        assert (deviation < 5).all() == close, (k, mean, exact, error)
    assert np.abs(exact).max() > 0.1


def test_persistent_chains_reach_the_likelihood_gradient_with_one_step_each():
    x = data()
    objective = dv.ContrastiveDivergence(
        k=1, persistent=True, chains=4000, sampler=samplers.Gibbs(), seed=1
    )
    model = small_model(objective)
    exact = np.concatenate([g.ravel() for g in likelihood_gradient(model, x)])
    objective_gradient(model, x, draws=60)  # the chains find their way
    mean, _ = objective_gradient(model, x, draws=40)
    # Chains of successive steps hang together, so the error is that of one step's samples.
    _, error = objective_gradient(model, x, draws=12)
    np.testing.assert_array_less(np.abs(mean - exact), 5 * error * np.sqrt(12))


@pytest.mark.parametrize("persistent", [pytest.param(False, marks=pytest.mark.slow), True])
def test_likelihood_training_recovers_a_gaussian(persistent):
    """The optimum of a linear DELVM on data of covariance S is WWᵀ = I − S⁻¹ where S > 1."""
    variances = np.array([4.0, 2.0, 0.5])
    x = np.random.default_rng(0).normal(size=(4000, 3)).astype("float32")
    x = (x - x.mean(0)) / x.std(0) * np.sqrt(variances)
    small = keras.initializers.Orthogonal(0.5, seed=0)
    network = dv.networks.ffnn((3,), "linear", use_bias=False, kernel_initializer=small)
    objective = dv.ContrastiveDivergence(
        k=5, persistent=persistent, sampler=samplers.Gibbs(), seed=0
    )
    model = dv.DELVM(network, objective=objective, normalization="none")
    rate = keras.optimizers.schedules.ExponentialDecay(2e-2, 40, 0.8)
    model.compile(keras.optimizers.Adam(rate), steps_per_execution=40)
    model.fit(x, epochs=20, batch_size=100, verbose=0)
    gram = (network.layers[0].kernel @ tf.transpose(network.layers[0].kernel)).numpy()
    np.testing.assert_allclose(gram, np.diag([0.75, 0.5, 0.0]), atol=0.08)


def test_the_sampler_of_the_paper_is_the_default_of_deep_models():
    """One step without visible noise is x′ = Jᵀh with h ~ N(f(x), I)."""
    model = dv.DELVM(
        dv.networks.ffnn((5, 4), "softplus", seed=0, input_shape=(3,)),
        objective=dv.ContrastiveDivergence(seed=0),
        normalization="none",
    )
    model.build((None, 3))
    sampler = model.objective.sampler_for(model)
    assert isinstance(sampler, samplers.Gibbs)
    assert sampler.visible_noise == 0.0
    x = tf.repeat(tf.constant([[0.3, -1.0, 2.0]]), 20000, axis=0)
    moved = samplers.run_chain(sampler, model, x, 1, tf.constant([1, 2])).state.numpy()
    with tf.GradientTape() as tape:
        tape.watch(x)
        f = model.network(x[:1])
    jacobian = tape.jacobian(f, x)[0, :, 0].numpy()
    np.testing.assert_allclose(moved.mean(0), jacobian.T @ f[0].numpy(), atol=0.05)
    np.testing.assert_allclose(np.cov(moved.T), jacobian.T @ jacobian, atol=0.05)


def test_the_loss_is_the_difference_of_the_energies_and_its_terms_say_so():
    model = small_model(dv.ContrastiveDivergence(seed=0, energy_regularization=0.1))
    x = data(50)
    value = model.objective.compute(model, x, training=True)
    data_energy, chain_energy = value.terms["data_energy"], value.terms["chain_energy"]
    expected = data_energy - chain_energy + 0.1 * (data_energy**2 + chain_energy**2)
    np.testing.assert_allclose(value.loss, expected)
    np.testing.assert_allclose(data_energy, model.energy(x))
    np.testing.assert_allclose(value.reconstruction_error, model.reconstruction_error(x))
    assert set(value.terms) == set(model.objective.term_names)


def test_no_gradient_flows_through_the_chains():
    """The gradient is that of the energies at fixed chains, by hand."""
    objective = dv.ContrastiveDivergence(k=2, sampler=samplers.Langevin(0.1), seed=0)
    model, x = small_model(objective), data(20)
    state = model.objective.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(objective.compute(model, x, training=True).loss)
    got = tape.gradient(loss, model.trainable_variables)
    model.objective.seed_generator.state.assign(state)
    seed = dv.noise.next_seed(objective.seed_generator)
    chains = samplers.run_chain(objective.sampler, model, x, 2, dv.noise.fold(seed, 1)).state
    with tf.GradientTape() as tape:
        energies = [tf.reduce_mean(model.normalized_energy(t)) for t in (x, tf.constant(chains))]
        loss = energies[0] - energies[1]
    for ours, by_hand in zip(got, tape.gradient(loss, model.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-10)


def persistent_model(**settings):
    objective = dv.ContrastiveDivergence(
        persistent=True, chains=8, sampler="langevin", seed=0, **settings
    )
    model = small_model(objective, dtype="float32")
    model.compile(keras.optimizers.Adam(1e-2))
    return model


def test_chains_go_on_where_they_were():
    model = persistent_model()
    x = data(64).numpy().astype("float32")
    model.fit(x, batch_size=16, epochs=1, verbose=0)
    first = model.objective.pool.state.numpy()
    model.fit(x, batch_size=16, epochs=1, verbose=0)
    second = model.objective.pool.state.numpy()
    assert np.abs(second - first).max() > 0
    step = np.sqrt(2 * 0.05)
    assert np.abs(second - first).max() < 4 * 5 * step  # four small steps, not new chains


def test_evaluation_leaves_the_chains_alone():
    model = persistent_model()
    x = data(64).numpy().astype("float32")
    model.fit(x, batch_size=16, verbose=0)
    before = model.objective.pool.state.numpy()
    model.evaluate(x, verbose=0)
    np.testing.assert_array_equal(model.objective.pool.state, before)


def test_a_buffer_is_visited_at_random_and_restarts():
    model = persistent_model(buffer=64, restart=0.5)
    x = data(640).numpy().astype("float32")
    model.fit(x, batch_size=16, epochs=1, verbose=0)
    started = model.objective.pool.started.numpy()
    assert 8 < started.sum() <= 64
    model.fit(x, batch_size=16, epochs=5, verbose=0)
    assert model.objective.pool.started.numpy().all()


def test_an_interrupted_run_goes_on_with_its_chains(tmp_path):
    """Weights, optimiser, chains and random state after saving, loading and going on."""
    x = data(64).numpy().astype("float32")
    settings = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    whole = persistent_model(buffer=32, restart=0.2)
    whole.fit(x, **settings)
    whole.fit(x, **settings)

    part = persistent_model(buffer=32, restart=0.2)
    part.fit(x, **settings)
    part.save(tmp_path / "model.keras")
    objects = {"SmallDEM": SmallDEM}
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects=objects)
    np.testing.assert_array_equal(loaded.objective.pool.state, part.objective.pool.state)
    loaded.fit(x, **settings)
    for one, other in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(whole.objective.pool.state, loaded.objective.pool.state, rtol=1e-6)


def test_chains_that_run_away_stop_the_run_and_stay_finite():
    """A linear network of norm 2 has no density: x′ = WᵀWx + … grows without bound."""
    network = dv.networks.ffnn(
        (3,), "linear", use_bias=False, kernel_initializer=keras.initializers.Orthogonal(2.0)
    )
    objective = dv.ContrastiveDivergence(k=200, persistent=True, sampler="gibbs", seed=0)
    model = dv.DELVM(network, objective=objective, normalization="none")
    model.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
    with pytest.raises(dv.TrainingDiverged, match="Chains may run away too"):
        model.fit(x, epochs=3, verbose=0)
    assert np.isfinite(objective.pool.state.numpy()).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be a positive integer, got 0"),
        ({"chains": 2.5}, ValueError, "chains must be a positive integer"),
        ({"restart": 0.1}, ValueError, "settings of persistent chains"),
        ({"persistent": True, "buffer": 50}, ValueError, r"buffer \(50\) must hold the chains"),
        ({"persistent": True, "restart": 2.0}, ValueError, "restart must lie between 0 and 1"),
        ({"data_noise": -1.0}, ValueError, "data_noise must be a positive number"),
        ({"sampler": "hmc"}, ValueError, "unknown sampler 'hmc'"),
        ({"sampler": 3}, TypeError, "expected a sampler"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        dv.ContrastiveDivergence(**settings)


def test_gibbs_is_refused_where_x_given_h_cannot_be_sampled():
    class Quartic(dv.EnergyModel):
        def normalized_energy(self, z):
            return tf.reduce_sum(tf.square(tf.square(z)), axis=1)

    model = Quartic(dv.ContrastiveDivergence(sampler="gibbs"), normalization="none")
    with pytest.raises(TypeError, match=r"Quartic has no Gibbs sampler.*langevin"):
        model.build((None, 2))
    langevin = Quartic(dv.ContrastiveDivergence(k=2), normalization="none")
    langevin.build((None, 2))
    assert isinstance(langevin.objective.sampler_for(langevin), samplers.Langevin)


def test_settings_survive_saving():
    objective = dv.ContrastiveDivergence(
        k=3, persistent=True, sampler=samplers.Langevin(0.2, 0.01), chains=10, buffer=50,
        restart=0.05, data_noise=0.03, energy_regularization=5e-3, seed=7,
    )  # fmt: skip
    config = keras.saving.serialize_keras_object(objective)
    again = keras.saving.deserialize_keras_object(config)
    ours, theirs = objective.get_config(), again.get_config()
    assert ours == theirs
    assert again.sampler.get_config() == {"step_size": 0.2, "noise_level": 0.01, "clip": None}
