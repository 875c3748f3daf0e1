"""Denoising finds the score of the noisy data, and learned levels the bandwidth of the batch."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.objectives.denoising_score_matching import DenoisingScoreMatching, denoising_loss
from delvm_tf.objectives.noise_levels import leave_one_out_loss


def delvm(objective, units=(4, 3), activation="softplus", d=3):
    network = dv.networks.ffnn(units, activation=activation, dtype="float64", seed=1)
    model = dv.DELVM(network, objective=objective, normalization="none", dtype="float64")
    model.build((None, d))
    return model


def losses(model, z, training=True):
    return model.objective.compute(model, tf.constant(z), training).loss.numpy()


class Line(dv.EnergyModel):
    """A given derivative E′(z) of a single value, plus t times another function of it."""

    t = 0.0

    def given(self, slope, direction):
        self.slope, self.direction = slope, direction
        return self

    def normalized_energy(self, z):
        raise AssertionError

    def normalized_gradient(self, z):
        return self.slope(z) + self.t * self.direction(z)


class TestOneLevel:
    def test_a_quadratic_energy_has_the_loss_of_the_closed_form(self, rng):
        """E = ½zᵀAz: the expectation is ½σ²‖Ax‖² + ½‖I − σ²A‖²; 4.5 standard errors."""
        w, sigma, n = np.array([[0.9, 0.2], [-0.3, 0.4]]), 0.7, 200_000
        model = delvm(DenoisingScoreMatching(sigma, seed=0), (2,), "linear", 2)
        model.network.set_weights([w, np.zeros(2)])
        a, x = np.eye(2) - w @ w.T, np.array([[1.0, -2.0]])
        got = losses(model, np.repeat(x, n, axis=0))
        expected = 0.5 * sigma**2 * np.square(x @ a).sum()
        expected += 0.5 * np.square(np.eye(2) - sigma**2 * a).sum()
        assert abs(got.mean() - expected) < 4.5 * got.std() / np.sqrt(n)

    def test_small_noise_gives_score_matching_and_its_weight_gradient(self, rng):
        """(J − d/2)/σ² as σ → 0, on pairs ±ε and without the constant ½‖ε‖²."""
        x = rng.normal(1.0, 1.0, size=(3, 3))
        model = delvm(dv.ScoreMatching("nested_tape"))
        half = rng.normal(size=(64, 64, 3, 3))  # groups, draws, points, values
        sigma = tf.constant(1e-3, tf.float64)

        def flat(loss):
            with tf.GradientTape() as tape:
                value = loss()
            gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
            return tf.concat([[value], *(tf.reshape(g, (-1,)) for g in gradients)], axis=0)

        @tf.function
        def estimate(half):
            drawn = tf.reshape(tf.concat([half, -half], axis=0), (-1, 3))
            z = tf.tile(tf.constant(x), (drawn.shape[0] // 3, 1))

            def loss():
                gradient = model.normalized_gradient(z + sigma * drawn)
                denoising = denoising_loss(gradient, drawn, sigma, sigma)
                constant = 0.5 * tf.reduce_sum(tf.square(drawn), axis=1)
                return tf.reduce_mean(denoising - constant) / tf.square(sigma)

            return flat(loss)

        exact = flat(lambda: tf.reduce_mean(model.objective.compute(model, tf.constant(x), 0).loss))
        estimates = np.stack([estimate(tf.constant(group)).numpy() for group in half])
        deviation = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
        assert np.all(np.abs(estimates.mean(axis=0) - exact.numpy()) < 5 * deviation + 1e-4)
        laplacian = model.objective.compute(model, tf.constant(x), False).terms["energy_laplacian"]
        assert 2 * abs(np.mean(laplacian)) > 10 * deviation[0]  # a wrong sign would show

    def test_a_linear_delvm_recovers_the_covariance_of_the_noisy_data(self, rng):
        """The optimum is WᵀW = I − (S + σ²I)⁻¹ where that is positive, and 0 elsewhere."""
        variances, sigma = np.array([5.0, 0.9, 0.3]), 0.7
        x = rng.normal(size=(4000, 3))
        x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
        x = (x * np.sqrt(variances)).astype("float32")
        network = dv.networks.ffnn((3,), activation="linear", use_bias=False, seed=0)
        objective = DenoisingScoreMatching(sigma, seed=0)
        model = dv.DELVM(network, objective=objective, normalization="none")
        schedule = keras.optimizers.schedules.CosineDecay(0.03, 600)
        model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
        model.fit(tf.data.Dataset.from_tensors(x).repeat(600), verbose=0)
        kernel = model.network.get_weights()[0]
        expected = np.diag(np.maximum(1 - 1 / (variances + sigma**2), 0))
        np.testing.assert_allclose(kernel @ kernel.T, expected, atol=0.03)

    def test_error_and_terms(self, rng):
        z = tf.constant(rng.normal(size=(5, 3)))
        model = delvm(DenoisingScoreMatching(0.5, seed=3))
        for training in (True, False):
            value = model.objective.compute(model, z, training)
            assert tuple(value.terms) == model.objective.term_names == ("denoising",)
            np.testing.assert_allclose(value.loss, value.terms["denoising"])
        np.testing.assert_allclose(value.reconstruction_error, model.reconstruction_error(z))
        first, second = (delvm(DenoisingScoreMatching(0.5, seed=3)) for _ in range(2))
        np.testing.assert_array_equal(losses(first, z, True), losses(second, z, False))

    @pytest.mark.parametrize("sigma", [0.5, (1.0, 0.5)])
    def test_a_training_step_asks_for_one_gradient(self, sigma, rng):
        """That at the noisy input, whose error is reported while training."""
        model, asked = delvm(DenoisingScoreMatching(sigma, seed=3)), []
        gradient = model.normalized_gradient

        def counted(z):
            slope = gradient(z)
            if tf.executing_eagerly():  # and not to look whether it can be differentiated
                asked.append((z, slope))
            return slope

        model.normalized_gradient = counted
        z = tf.constant(rng.normal(size=(5, 3)))
        value = model.objective.compute(model, z, training=True)
        ((noisy, slope),) = asked
        assert np.all(noisy != z)
        squared = np.square(slope).sum(axis=1)
        np.testing.assert_allclose(value.reconstruction_error, squared, rtol=1e-6)

    def test_small_noise_is_not_taken_for_divergence(self, rng):
        """At the noisy input ‖∇E‖² is far above the inputs' own power, also at the optimum."""
        x = rng.normal(size=(60, 3)) * [1.0, 0.01, 0.01]
        network = dv.networks.ffnn((3,), "linear", use_bias=False, kernel_initializer="zeros")
        model = dv.DELVM(network, objective=DenoisingScoreMatching(1e-3, seed=0),
                         normalization="none", visible_precision="diagonal")  # fmt: skip
        model.compile(keras.optimizers.Adam(1e-4))
        model.build((None, 3))
        model.visible.root.assign([1.0, 99.5, 99.5])  # of the data's density with noise
        history = model.fit(x, epochs=2, verbose=0).history
        assert history["reconstruction_error"][-1] > 1e3 * np.square(x).sum(axis=1).mean()


class TestSeveralLevels:
    levels = (2.0, 1.0, 0.5)

    def test_one_example_has_the_energy_of_the_reference_level(self):
        """For data at 0 the target x̃ of σ₀²∇E is met by E = ½z²/σ₀² at all levels at once."""
        for reference in (None, 1.0, 1.3):
            objective = DenoisingScoreMatching(self.levels, reference=reference, seed=0)
            model = Line(objective, normalization="none", dtype="float64")
            scale = 1 / (reference or 0.5) ** 2
            model.given(lambda z, scale=scale: scale * z, tf.zeros_like).build((None, 1))
            np.testing.assert_allclose(losses(model, np.zeros((500, 1))), 0, atol=1e-25)
            model.given(lambda z, scale=scale: -scale * z, tf.zeros_like)
            assert losses(model, np.zeros((500, 1))).mean() > 1

    def test_the_minimiser_is_the_documented_one(self, rng):
        """Slopes of the loss at σ₀²E′ = −(log q)′/E[1/σ²|x̃] are 0; at σ₀²E′ = −(log q)′σ₀² not.

        The loss is quadratic in t, so that a central difference with equal noise is its slope.
        """
        reference, data = 0.8, np.array([-1.0, 2.0])
        sigmas = np.array(self.levels)

        def density_terms(z):
            away = z - tf.constant(data[None, :])  # (n, 2)
            q = [tf.exp(-0.5 * tf.square(away / s)) / s for s in sigmas]  # up to a constant
            slope = -tf.add_n([p * away / s**2 for p, s in zip(q, sigmas, strict=True)])
            weighted = tf.add_n([p / s**2 for p, s in zip(q, sigmas, strict=True)])
            return [tf.reduce_sum(t, axis=1, keepdims=True) for t in (tf.add_n(q), slope, weighted)]

        def documented(z):
            q, slope, weighted = density_terms(z)
            return -(slope / q) / (weighted / q) / reference**2

        def log_density(z):
            q, slope, _ = density_terms(z)
            return -slope / q

        x = np.repeat(data, 40_000)[:, None]

        def z_scores(slope):
            scores = []
            for direction in (tf.ones_like, tf.identity, tf.sin, lambda z: tf.exp(-tf.square(z))):
                ends = []
                for t in (-1.0, 1.0):
                    objective = DenoisingScoreMatching(self.levels, reference=reference, seed=1)
                    model = Line(objective, normalization="none", dtype="float64")
                    model.given(slope, direction).build((None, 1))
                    model.t = t
                    ends.append(losses(model, x))
                slopes = (ends[1] - ends[0]) / 2
                scores.append(slopes.mean() / slopes.std() * np.sqrt(len(slopes)))
            return np.abs(scores)

        assert np.all(z_scores(documented) < 4.5)
        assert np.max(z_scores(lambda z: -documented(z))) > 20
        assert np.max(z_scores(log_density)) > 20

    def test_each_level_is_as_likely_and_the_target_is_weighted_by_its_inverse_square(self):
        """With E = 0 the loss is ½ε²; with E′ = 1 it is ½(σ₀²/σ − ε)², which shows σ."""
        objective = DenoisingScoreMatching(self.levels, seed=0)
        model = Line(objective, normalization="none", dtype="float64")
        model.given(tf.ones_like, tf.zeros_like).build((None, 1))
        n = 60_000
        got = losses(model, np.zeros((n, 1)))
        expected = np.mean([0.5 * ((0.25 / s) ** 2 + 1) for s in self.levels])
        assert abs(got.mean() - expected) < 4.5 * got.std() / np.sqrt(n)
        assert abs(got.mean() - 0.5 * (0.25 / 0.5) ** 2 - 0.5) > 4.5 * got.std() / np.sqrt(n)

    def test_a_ladder_is_geometric(self):
        ladder = DenoisingScoreMatching(4.0, smallest=0.25, levels=5)
        np.testing.assert_allclose(ladder.noise_levels(), [4, 2, 1, 0.5, 0.25], rtol=1e-6)
        with_reference = DenoisingScoreMatching(4.0, smallest=0.25, levels=5, reference=0.7)
        np.testing.assert_allclose(with_reference.annealing_levels(), [4, 2, 1, 0.7], rtol=1e-6)

    def test_images_draw_a_level_an_example_not_a_pixel(self, rng):
        network = dv.networks.cnn((3,), 3, activation="softplus", seed=0)
        model = dv.DELVM(network, objective=DenoisingScoreMatching(self.levels))
        x = rng.normal(size=(30, 5, 4, 2)).astype("float32")
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2))
        history = model.fit(x, batch_size=8, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert np.isfinite(model.evaluate(x, verbose=0, return_dict=True)["loss"])


def leave_one_out(x, sigma):
    """Minus the mean log-likelihood per value of each example under windows on the others."""
    n, d = x.shape
    total = 0.0
    for i in range(n):
        others = np.delete(x, i, axis=0)
        exponents = -0.5 * np.square(others - x[i]).sum(axis=1) / sigma**2
        density = np.mean(np.exp(exponents)) / (2 * np.pi * sigma**2) ** (d / 2)
        total -= np.log(density) / d
    return total / n


class TestLearnedLevels:
    def data(self, n=30, d=2):
        return np.random.default_rng(5).normal(size=(n, d)) * 2

    def test_the_loss_is_the_leave_one_out_likelihood_and_so_is_its_slope(self):
        x = self.data()
        for sigma in (0.4, 1.0, 3.0):
            log_sigma = tf.constant(np.log(sigma))
            with tf.GradientTape() as tape:
                tape.watch(log_sigma)
                loss = tf.reduce_mean(leave_one_out_loss(tf.constant(x), log_sigma))
            assert float(loss) == pytest.approx(leave_one_out(x, sigma), rel=1e-10)
            h = 1e-5
            slope = leave_one_out(x, sigma * np.exp(h)) - leave_one_out(x, sigma * np.exp(-h))
            assert float(tape.gradient(loss, log_sigma)) == pytest.approx(slope / 2 / h, rel=1e-6)

    def test_examples_that_coincide_count_as_one(self):
        x = self.data(6).astype("float32") + 100
        loss = leave_one_out_loss(tf.constant(np.repeat(x, 3, axis=0)), tf.constant(0.3))
        alone = leave_one_out_loss(tf.constant(x), tf.constant(0.3))
        np.testing.assert_allclose(loss, np.repeat(alone, 3), rtol=1e-4)
        log_sigma = tf.constant(0.3)
        with tf.GradientTape() as tape:
            tape.watch(log_sigma)
            nothing = leave_one_out_loss(tf.ones((4, 2)), log_sigma)
        np.testing.assert_array_equal(nothing, 0)
        assert float(tape.gradient(nothing, log_sigma)) == 0

    @pytest.mark.parametrize(
        "ladder",
        [
            pytest.param({"sigma": 3.0}, marks=pytest.mark.slow),
            {"sigma": 5.0, "smallest": 3.0, "levels": 4},
        ],
        ids=str,
    )
    def test_sigma_converges_to_the_optimum_of_brute_force(self, ladder):
        x = self.data(40)
        candidates = np.geomspace(0.1, 4, 101)
        best = candidates[np.argmin([leave_one_out(x, s) for s in candidates])]
        fine = np.geomspace(best / 1.1, best * 1.1, 101)
        best = fine[np.argmin([leave_one_out(x, s) for s in fine])]
        network = dv.networks.ffnn((3,), activation="softplus", seed=0)
        objective = DenoisingScoreMatching(learned=True, **ladder)
        model = dv.DELVM(network, objective=objective, normalization="none")
        model.build((None, 2))
        assert any(v is objective.log_sigma for v in model.trainable_variables)
        model.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 400)),
            steps_per_execution=100,
        )
        stream = tf.data.Dataset.from_tensors(x.astype("float32")).repeat(400)
        history = model.fit(stream, verbose=0).history
        levels = objective.noise_levels().numpy()
        assert levels[-1] == pytest.approx(best, rel=2e-3)
        if len(levels) > 1:
            np.testing.assert_allclose(levels, np.geomspace(5.0, best, 4), rtol=2e-3)
        assert history["loss"][0] == pytest.approx(
            history["denoising"][0] + history["parzen"][0], rel=1e-5
        )
        assert best < history["sigma"][0] < 3

    def test_gradients_of_sigma_and_of_the_network_are_apart(self):
        """σ has the slope of Parzen's term alone, the network that of the denoising term."""
        x = tf.constant(self.data())
        found = []
        for learned in (True, False):
            model = delvm(DenoisingScoreMatching(0.6, learned=learned, seed=2), d=2)
            if learned:  # the variable is float32, the constant not
                model.objective.log_sigma.assign(np.log(0.6))
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model.objective.compute(model, x, training=True).loss)
            variables = [v.value for v in model.network.trainable_variables]
            sigma = [model.objective.log_sigma.value] if learned else []
            found.append(tape.gradient(loss, variables + sigma))
        for got, expected in zip(found[0], found[1], strict=False):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
        h = 1e-5
        slope = leave_one_out(x.numpy(), 0.6 * np.exp(h)) - leave_one_out(
            x.numpy(), 0.6 / np.exp(h)
        )
        assert float(found[0][-1]) == pytest.approx(slope / 2 / h, rel=1e-4)

    def test_the_smallest_level_never_passes_the_largest(self):
        objective = DenoisingScoreMatching(2.0, smallest=1.0, levels=3, learned=True)
        objective.log_sigma.assign(np.log(5.0))
        np.testing.assert_allclose(objective.noise_levels(), [2, 2, 2], rtol=1e-6)

    def test_a_batch_of_one_is_refused_in_training(self):
        x = self.data(3).astype("float32")
        for kwargs in ({"run_eagerly": True}, {}):
            model = dv.DELVM(
                dv.networks.ffnn((3,)), objective=DenoisingScoreMatching(learned=True),
                normalization="none",
            )  # fmt: skip
            model.build((None, 2))
            model.compile(**kwargs)
            errors = (ValueError, tf.errors.InvalidArgumentError)
            with pytest.raises(errors, match=r"learned=True takes the noise level.*a single one"):
                model.fit(x, batch_size=1, verbose=0)
            assert np.isfinite(model.evaluate(x[:1], verbose=0, return_dict=True)["loss"])

    def test_sigma_is_saved_and_training_goes_on(self, tmp_path):
        x = self.data(40).astype("float32")
        objective = DenoisingScoreMatching(4.0, smallest=0.9, levels=3, learned=True, seed=3)
        model = dv.DELVM(dv.networks.ffnn((3,), "softplus", seed=0), objective=objective)
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(x, batch_size=10, epochs=2, verbose=0)
        assert float(objective.log_sigma) != pytest.approx(np.log(0.9), rel=1e-2)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        levels = objective.noise_levels()
        np.testing.assert_array_equal(loaded.objective.noise_levels(), levels)
        histories = [
            m.fit(x, batch_size=10, shuffle=False, verbose=0).history for m in (model, loaded)
        ]
        np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
        np.testing.assert_allclose(
            loaded.objective.noise_levels(), objective.noise_levels(), rtol=1e-5
        )


ON_TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf, keras, delvm_tf as dv
from delvm_tf.objectives.denoising_score_matching import DenoisingScoreMatching
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
found = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        objective = DenoisingScoreMatching(2.0, smallest=0.5, levels=3, learned=True, seed=1)
        model = dv.DELVM(dv.networks.ffnn((4,), "softplus", seed=0), objective=objective)
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2), run_eagerly=False)
    model.fit(x, batch_size=12, epochs=2, shuffle=False, verbose=0)
    found.append([*model.network.get_weights(), objective.noise_levels().numpy()])
for got, expected in zip(*found):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
assert abs(found[0][-1][-1] - 0.5) > 0.005
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does():
    run = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.parametrize(
    "settings",
    [
        {"sigma": 0.5, "seed": 4},
        {"sigma": [4, 2, 1], "reference": 2.0},
        {"sigma": np.float32(0.5), "learned": True},
        {"sigma": 4.0, "smallest": 1.0, "levels": 5, "learned": True},
    ],
)
def test_settings_survive_saving(settings):
    objective = DenoisingScoreMatching(**settings)
    saved = keras.saving.serialize_keras_object(objective)
    loaded = keras.saving.deserialize_keras_object(saved)
    assert loaded.get_config() == objective.get_config()
    np.testing.assert_array_equal(loaded.noise_levels(), objective.noise_levels())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sigma": 0.0}, ValueError, "sigma must be a positive number, got 0.0"),
        ({"sigma": -1}, ValueError, "sigma must be a positive number, got -1"),
        ({"sigma": float("nan")}, ValueError, "sigma must be a positive number, got nan"),
        ({"sigma": True}, ValueError, "sigma must be a positive number, got True"),
        ({"sigma": None}, TypeError, "sigma must be a sequence of numbers, got None"),
        ({"sigma": "auto"}, TypeError, "sigma must be a sequence of numbers, got 'auto'"),
        ({"sigma": ()}, ValueError, "sigma must hold 1 or more numbers"),
        ({"sigma": (1.0, 2.0)}, ValueError, "sigma must go down from the largest"),
        ({"sigma": (1.0, float("inf"))}, ValueError, "each of sigma must be a positive number"),
        ({"sigma": 1.0, "levels": 3}, ValueError, "sigma .*, smallest and levels together"),
        ({"sigma": 1.0, "smallest": 0.1}, ValueError, "sigma .*, smallest and levels together"),
        ({"sigma": (2, 1), "smallest": 1, "levels": 3}, ValueError, "one number, the largest"),
        ({"sigma": 1.0, "smallest": 2.0, "levels": 3}, ValueError, "smallest must be less than"),
        ({"sigma": 1.0, "smallest": 0.1, "levels": 1}, ValueError, "integer of two or more, got 1"),
        ({"sigma": 1.0, "smallest": 0, "levels": 2}, ValueError, "smallest must be a positive"),
        ({"sigma": 1.0, "reference": 2.0}, ValueError, "reference must lie between"),
        ({"reference": -1.0}, ValueError, "reference must be a positive number, got -1.0"),
        ({"reference": 0.3, "learned": True}, ValueError, "leave out reference=0.3"),
        ({"learned": 1}, TypeError, "learned must be True or False, got 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        DenoisingScoreMatching(**arguments)


def test_a_model_without_an_energy_is_refused():
    with pytest.raises(TypeError, match="DenoisingScoreMatching learns an energy, and object has"):
        DenoisingScoreMatching().check_model(object())
