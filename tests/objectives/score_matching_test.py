"""Score matching finds the right answer, and the paper's printed formulas do not."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.objectives.score_matching import PrintedSignWarning


def linear_delvm(d, units, sign="corrected", seed=0):
    network = dv.networks.ffnn((units,), activation="linear", use_bias=False, seed=seed)
    model = dv.DELVM(network, objective=dv.ScoreMatching(sign=sign), normalization="none")
    model.build((None, d))
    return model


def whitened_gaussian(covariance, n, rng):
    """Samples whose empirical mean is 0 and empirical covariance is exactly the given one."""
    z = rng.normal(size=(n, len(covariance)))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / n)).T
    return (z @ np.linalg.cholesky(covariance).T).astype("float32")


def loss_per_example(model, x):
    return model.objective.compute(model, tf.constant(x), training=False).loss.numpy()


def test_linear_delvm_recovers_the_known_covariance(rng):
    """The optimum is WᵀW = I − S⁻¹ where S > 1, and 0 on the other directions."""
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    variances = np.array([5.0, 3.0, 1.5, 0.4])
    x = whitened_gaussian(rotation * variances @ rotation.T, 2000, rng)
    model = linear_delvm(4, 4)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 600)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(600), verbose=0)
    kernel = model.network.get_weights()[0]
    expected = rotation * np.maximum(1 - 1 / variances, 0) @ rotation.T
    np.testing.assert_allclose(kernel @ kernel.T, expected, atol=5e-3)


def test_one_hidden_unit_matches_the_value_computed_by_hand():
    """x = (1, 2), w = (0.5, 0.25), b = 0.1: a = 1.1, x̂ = 1.1w, J = ½‖x − x̂‖² − 2 + ‖w‖²."""
    model = dv.DELVM(
        dv.networks.ffnn((1,), input_shape=(2,)), normalization="none", dtype="float32"
    )
    model.build((None, 2))
    model.network.set_weights([np.array([[0.5], [0.25]]), np.array([0.1])])
    x = np.array([[1.0, 2.0]], "float32")
    np.testing.assert_allclose(model.reconstruct(x), [[0.55, 0.275]], rtol=1e-6)
    np.testing.assert_allclose(model.reconstruction_error(x), [0.45**2 + 1.725**2], rtol=1e-6)
    np.testing.assert_allclose(model.energy(x), [2.5 - 0.605], rtol=1e-6)
    by_hand = 0.5 * (0.45**2 + 1.725**2) - 2 + 0.3125
    np.testing.assert_allclose(loss_per_example(model, x), [by_hand], rtol=1e-6)
    np.testing.assert_allclose(loss_per_example(model, -x), [2.5 - 2.0], rtol=1e-6)  # unit is off


def test_loss_is_the_fisher_divergence_up_to_a_constant(rng):
    """Gaussian data and model: E½‖s_data − s_model‖² − E½‖s_data‖² in closed form."""
    variances = np.array([4.0, 2.0])
    x = whitened_gaussian(np.diag(variances), 4000, rng)
    model = linear_delvm(2, 2)
    for gains in ([0.0, 0.0], [0.3, 0.8], [0.9, 0.1]):
        model.network.set_weights([np.diag(gains)])
        precision = 1 - np.square(gains)
        fisher = 0.5 * ((1 / variances - precision) ** 2 * variances).sum()
        constant = 0.5 * (1 / variances).sum()
        assert loss_per_example(model, x).mean() == pytest.approx(fisher - constant, rel=1e-4)


class TestErrataOfThePaper:
    """Guo and Kim (2023) as printed, against the same quantities computed another way."""

    grid = np.linspace(-12, 12, 20001)

    def energy(self, precision):
        return 0.5 * precision * self.grid**2

    def log_partition(self, precision):
        return np.log(np.trapezoid(np.exp(-self.energy(precision)), self.grid))

    def expectation(self, values, precision):
        density = np.exp(-self.energy(precision) - self.log_partition(precision))
        return np.trapezoid(density * values, self.grid)

    def divergence(self, data, model):
        log_ratio = (self.energy(model) - self.energy(data)) + (
            self.log_partition(model) - self.log_partition(data)
        )
        return self.expectation(log_ratio, data)

    def test_equation_1_the_divergence_is_plus_energy_plus_log_partition(self):
        entropy = self.expectation(-self.energy(1.0) - self.log_partition(1.0), 1.0)
        right = self.expectation(self.energy(2.0), 1.0) + self.log_partition(2.0) + entropy
        printed = -self.expectation(self.energy(2.0), 1.0) - self.log_partition(2.0) + entropy
        assert self.divergence(1.0, 2.0) == pytest.approx(right, abs=1e-9)
        assert abs(self.divergence(1.0, 2.0) - printed) > 0.1

    def test_equations_2_and_6_the_gradient_is_data_minus_model(self):
        h = 1e-5
        slope = (self.divergence(1.0, 2.0 + h) - self.divergence(1.0, 2.0 - h)) / (2 * h)
        by_precision = 0.5 * self.grid**2  # dE/dprecision
        right = self.expectation(by_precision, 1.0) - self.expectation(by_precision, 2.0)
        assert slope == pytest.approx(right, abs=1e-6)
        assert slope == pytest.approx(0.25, abs=1e-6)  # printed: -0.25

    def test_equation_8_with_plus_the_optimum_is_a_negative_precision(self):
        """Minimise ½p²s ∓ p over the precision p, for Gaussian data of variance s = 2."""
        variance, candidates = 2.0, np.linspace(-2, 2, 40001)
        corrected = 0.5 * candidates**2 * variance - candidates
        printed = 0.5 * candidates**2 * variance + candidates
        assert candidates[corrected.argmin()] == pytest.approx(1 / variance, abs=1e-3)
        assert candidates[printed.argmin()] == pytest.approx(-1 / variance, abs=1e-3)

    def test_equation_8_with_plus_is_unbounded_below_for_a_delvm(self, rng):
        """Units that always fire have x̂ = WᵀWx: ‖W‖ grows, so does the printed gain."""
        x = 0.05 * rng.normal(size=(200, 6)).astype("float32")
        losses = {}
        for sign in ("corrected", "as_printed"):
            if sign == "as_printed":
                with pytest.warns(PrintedSignWarning, match="not score matching"):
                    model = linear_delvm(6, 6, sign)
            else:
                model = linear_delvm(6, 6, sign)
            values = []
            for gain in (0.0, 1.0, 2.0, 4.0):
                model.network.set_weights([gain * np.eye(6)])
                values.append(loss_per_example(model, x).mean())
            losses[sign] = values
        assert np.all(np.diff(losses["as_printed"]) < 0)
        assert np.all(np.diff(losses["corrected"]) > 0)

    @pytest.mark.parametrize("activation", ["relu", "softplus"])
    def test_equations_12_and_15_the_loss_subtracts_the_trace_of_the_hessian(self, activation, rng):
        network = dv.networks.ffnn((5,), activation=activation, dtype="float64", seed=1)
        corrected = dv.DELVM(network, normalization="none", dtype="float64")
        with pytest.warns(PrintedSignWarning):
            objective = dv.ScoreMatching(sign="as_printed")
        printed = dv.DELVM(network, objective=objective, normalization="none", dtype="float64")
        corrected.build((None, 3))
        printed.build((None, 3))
        x = rng.normal(size=(6, 3))
        h, step = 1e-4, np.eye(3)
        trace = sum(
            (corrected.energy(x + h * e) - 2 * corrected.energy(x) + corrected.energy(x - h * e))
            / h**2
            for e in step
        )
        half_error = 0.5 * corrected.reconstruction_error(x).numpy()
        np.testing.assert_allclose(loss_per_example(corrected, x), half_error - trace, atol=1e-5)
        np.testing.assert_allclose(loss_per_example(printed, x), half_error + trace, atol=1e-5)

    def test_equations_14_and_15_lack_the_half_of_the_squared_norm(self, rng):
        """tr ∇²E = tr(I − ½∇²‖f‖²); printed without the ½ it is another number."""
        model = linear_delvm(3, 3)
        x = rng.normal(size=(1, 3)).astype("float32")
        kernel = model.network.get_weights()[0]
        laplacian_of_squared_norm = 2 * np.square(kernel).sum()
        got = model.objective.compute(model, tf.constant(x), False).terms["energy_laplacian"]
        np.testing.assert_allclose(got, [3 - 0.5 * laplacian_of_squared_norm], atol=1e-5)
        assert not np.allclose(got, [3 - laplacian_of_squared_norm], atol=1e-2)


SLOW_TRACES = [pytest.param(t, marks=pytest.mark.slow) for t in ("lattice", "nested_tape")]


@pytest.mark.parametrize("trace", ["basis", "exact", *SLOW_TRACES])
def test_every_exact_trace_gives_the_same_training(trace, rng):
    x = rng.normal(size=(40, 6)).astype("float32")
    weights = []
    for name in ("closed_form", trace):
        keras.utils.set_random_seed(0)
        network = dv.networks.ffnn((5,), activation="softplus", seed=3)
        model = dv.DELVM(network, objective=dv.ScoreMatching(name), scale=2.0)
        model.adapt(x)
        model.compile(keras.optimizers.SGD(1e-3))
        model.fit(x, batch_size=10, epochs=2, shuffle=False, verbose=0)
        weights.append(model.network.get_weights())
    for got, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_evaluation_can_be_exact_while_training_is_not(rng):
    x = rng.normal(size=(32, 6)).astype("float32")
    network = dv.networks.ffnn((5, 4), activation="softplus", seed=0)
    objective = dv.ScoreMatching("hutchinson", evaluation_trace="basis", seed=0)
    model = dv.DELVM(network, objective=objective)
    model.adapt(x)
    model.compile()
    first, second = (model.evaluate(x, verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    exact = dv.DELVM(network, objective=dv.ScoreMatching("nested_tape"))
    exact.adapt(x)
    exact.compile()
    expected = exact.evaluate(x, verbose=0, return_dict=True)
    assert first["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    model.objective.evaluation_trace = None
    model.compile()
    first, second = (model.evaluate(x, verbose=0, return_dict=True) for _ in range(2))
    assert first == second  # the same probes each time
    assert first["loss"] != pytest.approx(expected["loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trace": "magic"}, "unknown trace 'magic'; expected auto, exact, closed_form"),
        ({"evaluation_trace": "magic"}, "unknown evaluation_trace 'magic'"),
        ({"sign": "minus"}, "unknown sign 'minus'; expected one of corrected, as_printed"),
        ({"probes": 0}, "probes must be a positive integer, got 0"),
        ({"spacing": 0}, "lattice spacing must be made of positive integers, got 0"),
        ({"cost": 0}, "cost must be a positive number, got 0"),
        ({"memory_budget": float("nan")}, "memory_budget must be a positive number, got nan"),
        ({"memory_budget": "2 GB"}, "memory_budget must be a positive number, got '2 GB'"),
    ],
)
def test_unknown_options_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        dv.ScoreMatching(**arguments)


def test_the_default_sign_does_not_warn(recwarn):
    dv.ScoreMatching()
    assert not [w for w in recwarn if issubclass(w.category, PrintedSignWarning)]


def convolutional(objective, **kwargs):
    network = dv.networks.cnn((4, 3), 3, activation="softplus", seed=0)
    return dv.DELVM(network, objective=objective, **kwargs)


def test_the_plan_is_read_from_the_model_and_shown_as_text():
    model = convolutional(dv.ScoreMatching(cost=2.0, evaluation_trace="exact"))
    with pytest.raises(ValueError, match=r"is not built, .*call model.adapt"):
        model.objective.plan(model)
    model.build((None, 9, 8, 1))
    training, evaluation = (model.objective.plan(model, training=t) for t in (True, False))
    assert not training.exact
    assert training.probes.count == 1
    assert "estimated" in repr(training)
    assert evaluation.exact
    assert evaluation.method == "windows"


@functools.cache
def weights_after_training(trace, budget, batch_size):
    x = np.random.default_rng(0).normal(size=(12, 5, 4, 2)).astype("float32")
    model = convolutional(dv.ScoreMatching(trace, memory_budget=budget), scale=1.5)
    model.adapt(x)
    model.compile(keras.optimizers.SGD(1e-3))
    model.fit(x, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


CHUNKS = [("lattice", 2.0), ("lattice", 2e-5), ("windows", 1e-6), ("basis", 1e-9)]


@pytest.mark.parametrize(
    ("trace", "budget", "batch_size"),
    [("lattice", 2e-5, 5),
     *(pytest.param(trace, budget, batch_size, marks=pytest.mark.slow)
       for trace, budget in CHUNKS for batch_size in (4, 5)
       if (trace, budget, batch_size) != ("lattice", 2e-5, 5))],
)  # fmt: skip
def test_training_in_chunks_is_the_same_training(trace, budget, batch_size):
    """Batches of unknown length, all at once and in chunks, give the same weights."""
    expected = weights_after_training("nested_tape", 2.0, batch_size)
    got = weights_after_training(trace, budget, batch_size)
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "mode",
    [{"run_eagerly": True}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow)],
    ids=str,
)
@pytest.mark.parametrize("trace", ["lattice", pytest.param("windows", marks=pytest.mark.slow)])
def test_eager_and_compiled_training_in_chunks_are_the_same(trace, mode, rng):
    x = rng.normal(size=(4, 5, 3, 1)).astype("float32")
    losses = []
    for kwargs in ({}, mode):
        model = convolutional(dv.ScoreMatching(trace, memory_budget=1e-5))
        model.adapt(x)
        model.compile(keras.optimizers.SGD(1e-3), **kwargs)
        history = model.fit(x, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        losses.append(history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_settings_survive_saving(tmp_path, rng):
    settings = {
        "trace": "lattice", "spacing": (2, 3, 1), "probes": 4, "cost": 3.0, "memory_budget": 0.5,
        "evaluation_trace": "exact", "seed": 3,
    }  # fmt: skip
    model = convolutional(dv.ScoreMatching(**settings))
    model.adapt(rng.normal(size=(4, 6, 5, 1)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    config = loaded.objective.get_config()
    assert {name: config[name] for name in settings} == settings
    assert str(loaded.objective.plan(loaded)) == str(model.objective.plan(model))


@pytest.mark.slow
def test_a_layer_without_a_rule_trains_and_is_named_in_the_log(rng, caplog):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(6, activation="tanh")(inputs)
    outputs = keras.layers.Dot(axes=1, name="odd")([hidden, keras.layers.Dense(6)(hidden)])
    model = dv.DELVM(keras.Model(inputs, outputs), objective=dv.ScoreMatching("basis"))
    x = rng.normal(size=(20, 4)).astype("float32")
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-3))
    with caplog.at_level("INFO"):
        history = model.fit(x, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert "layer odd has no rule" in caplog.text
