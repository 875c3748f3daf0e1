"""Random projections give score matching in expectation, at the variance that theory says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature.probes import Gaussian
from delvm_tf.objectives.sliced_score_matching import SlicedScoreMatching

FORMS = [(reduced, kind) for reduced in (True, False) for kind in ("gaussian", "rademacher")]


def delvm(objective, units=(4, 3), activation="softplus", d=3, **kwargs):
    network = dv.networks.ffnn(units, activation=activation, dtype="float64", seed=1)
    model = dv.DELVM(
        network, objective=objective, normalization="none", dtype="float64", **kwargs
    )  # fmt: skip
    model.build((None, d))
    return model


def losses(model, z):
    return model.objective.compute(model, tf.constant(z), training=True).loss.numpy()


class Quartic(dv.EnergyModel):
    """E(z) = ¼ a Σz⁴, an energy that is no potential of a network."""

    def build_parameters(self, input_shape):
        self.strength = self.add_weight(shape=(), initializer="ones", name="strength")

    def normalized_energy(self, z):
        return 0.25 * self.strength * tf.reduce_sum(tf.square(tf.square(z)), axis=1)


@pytest.mark.parametrize(
    ("reduced", "kind", "precision"),
    [
        (True, "gaussian", None),
        (False, "rademacher", "full"),
        pytest.param(False, "gaussian", None, marks=pytest.mark.slow),
        pytest.param(True, "rademacher", "full", marks=pytest.mark.slow),
        *(
            pytest.param(reduced, kind, precision, marks=pytest.mark.slow)
            for reduced, kind in FORMS
            for precision in (None, "full")
            if (precision == "full") == (kind == "gaussian")
        ),
    ],
)
def test_the_expectation_and_its_weight_gradient_are_those_of_score_matching(
    reduced, kind, precision, rng
):
    """64 groups of 64 draws each: the means within 5 standard errors, for three points."""
    objective = SlicedScoreMatching(1, reduced, kind, seed=2)
    model = delvm(objective, visible_precision=precision)
    exact = dv.ScoreMatching("nested_tape")
    points = rng.normal(1.0, 1.5, size=(3, 3))
    if precision:
        model.visible.root.assign(np.eye(3) + 0.3 * rng.normal(size=(3, 3)))

    def value_and_gradients(objective, z):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(objective.compute(model, z, training=True).loss)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return tf.concat([[loss], *(tf.reshape(g, (-1,)) for g in gradients)], axis=0)

    expected = value_and_gradients(exact, tf.constant(points)).numpy()
    many = tf.constant(np.tile(points, (64, 1)))
    draw = tf.function(lambda: value_and_gradients(objective, many))
    estimates = np.stack([draw().numpy() for _ in range(64)])
    error = estimates.mean(axis=0) - expected
    deviation = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert np.all(np.abs(error) <= 5 * deviation + 1e-9)
    laplacian = exact.compute(model, tf.constant(points), True).terms["energy_laplacian"]
    wrong_sign = 2 * abs(np.mean(laplacian))
    assert wrong_sign > 10 * deviation[0]


def test_the_plain_form_projects_the_gradient_on_the_direction_of_the_curvature(rng):
    """E = ½‖z‖² − ½(aᵀz)²: the loss along v is ½(vᵀ∇E)² − d + (aᵀv)², for the same v."""
    a, z = rng.normal(size=(3,)), rng.normal(size=(200, 3))
    model = delvm(SlicedScoreMatching(2, False, "gaussian", seed=5), (1,), "linear")
    model.network.set_weights([a[:, None], np.zeros(1)])
    got = losses(model, z)
    again = SlicedScoreMatching(2, False, "gaussian", seed=5)
    v = Gaussian((3,), 2).draw(tf.constant(z), again.seed_generator).numpy()
    gradient = z - (z @ a)[:, None] * a
    along = np.einsum("pnd,nd->pn", v, gradient)
    expected = (0.5 * along**2 + (v @ a) ** 2).mean(axis=0) - 3
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_the_variance_reduced_form_has_less_variance_and_projections_divide_it(rng):
    """For E = ½‖z‖² − ½(aᵀz)² with normal v: Var[(aᵀv)²] = 2‖a‖⁴, and more for the plain form."""
    a, point = rng.normal(size=3), rng.normal(1.0, 1.0, size=(1, 3))
    many, variances = np.repeat(point, 20000, axis=0), {}
    for reduced, projections in ((True, 1), (True, 4), (False, 1), (False, 4)):
        model = delvm(SlicedScoreMatching(projections, reduced, seed=0), (1,), "linear")
        model.network.set_weights([a[:, None], np.zeros(1)])
        variances[reduced, projections] = losses(model, many).var()
    gradient = point[0] - (point[0] @ a) * a
    # of ½(vᵀg)² + (aᵀv)² = vᵀMv with M = ½ggᵀ + aaᵀ: 2‖M‖²
    matrix = 0.5 * np.outer(gradient, gradient) + np.outer(a, a)
    assert variances[True, 1] == pytest.approx(2 * (a @ a) ** 2, rel=0.1)
    assert variances[False, 1] == pytest.approx(2 * np.square(matrix).sum(), rel=0.1)
    assert variances[False, 1] > 1.2 * variances[True, 1]
    for reduced in (True, False):
        ratio = variances[reduced, 1] / variances[reduced, 4]
        assert ratio == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize(
    ("reduced", "kind"),
    [
        (True, "gaussian"),
        (False, "rademacher"),
        pytest.param(True, "rademacher", marks=pytest.mark.slow),
        pytest.param(False, "gaussian", marks=pytest.mark.slow),
    ],
)
def test_any_energy_can_be_sliced_in_bounded_memory(reduced, kind, rng):
    """½Σz⁶ − 3Σz² in expectation, and the same numbers in chunks as at once."""
    point = rng.normal(size=(1, 3)) + 1
    many, found = np.repeat(point, 1000, axis=0), []
    for budget in (2.0, 1e-4):
        objective = SlicedScoreMatching(3, reduced, kind, memory_budget=budget, seed=1)
        model = Quartic(objective, normalization="none", dtype="float64")
        model.build((None, 3))
        found.append(losses(model, many))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)
    expected = 0.5 * np.sum(point**6) - 3 * np.sum(point**2)
    assert abs(found[0].mean() - expected) <= 4.5 * found[0].std() / np.sqrt(1000) + 1e-9


@pytest.mark.parametrize("reduced", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_linear_delvm_recovers_the_known_covariance(reduced, rng):
    """The optimum is WᵀW = I − S⁻¹ where S > 1, and 0 on the other directions."""
    variances = np.array([5.0, 2.0, 0.5])
    x = rng.normal(size=(3000, 3))
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    x = (x * np.sqrt(variances)).astype("float32")
    network = dv.networks.ffnn((3,), activation="linear", use_bias=False, seed=0)
    objective = SlicedScoreMatching(2, reduced, "gaussian", seed=0)
    model = dv.DELVM(network, objective=objective, normalization="none")
    schedule = keras.optimizers.schedules.CosineDecay(0.03, 600)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(600), verbose=0)
    kernel = model.network.get_weights()[0]
    expected = np.diag(np.maximum(1 - 1 / variances, 0))
    np.testing.assert_allclose(kernel @ kernel.T, expected, atol=0.03)


def test_terms_and_error_are_named_as_in_score_matching(rng):
    z = tf.constant(rng.normal(size=(5, 3)))
    for reduced in (True, False):
        model = delvm(SlicedScoreMatching(2, reduced))
        value = model.objective.compute(model, z, training=False)
        assert tuple(value.terms) == model.objective.term_names == dv.ScoreMatching.term_names
        difference = value.terms["half_squared_score"] - value.terms["energy_laplacian"]
        np.testing.assert_allclose(value.loss, difference)
        np.testing.assert_allclose(value.reconstruction_error, model.reconstruction_error(z))


def test_images_train_after_loading_as_before(tmp_path, rng):
    settings = {
        "projections": 3, "variance_reduced": False, "distribution": "rademacher",
        "memory_budget": 1e-5, "seed": 4,
    }  # fmt: skip
    x = rng.normal(size=(16, 5, 4, 1)).astype("float32")
    network = dv.networks.cnn((3,), 3, activation="softplus", seed=0)
    model = dv.DELVM(network, objective=SlicedScoreMatching(**settings))
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    config = loaded.objective.get_config()
    assert {name: config[name] for name in settings} == settings
    histories = [
        m.fit(x, batch_size=8, shuffle=False, verbose=0).history for m in (model, loaded)
    ]  # fmt: skip
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    again = SlicedScoreMatching.from_config(SlicedScoreMatching(**settings).get_config())
    assert {name: again.get_config()[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"projections": 0}, ValueError, "projections must be a positive integer, got 0"),
        ({"projections": True}, ValueError, "projections must be a positive integer, got True"),
        ({"projections": 1.5}, ValueError, "projections must be a positive integer, got 1.5"),
        ({"variance_reduced": "no"}, TypeError, "variance_reduced must be True or False, got 'no'"),
        (
            {"distribution": "cauchy"},
            ValueError,
            "unknown distribution 'cauchy'; expected one of gaussian, rademacher",
        ),
        ({"memory_budget": 0.0}, ValueError, "memory_budget must be a positive number, got 0.0"),
        ({"memory_budget": float("nan")}, ValueError, "memory_budget must be a positive number"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        SlicedScoreMatching(**arguments)


def test_a_model_without_an_energy_is_refused():
    with pytest.raises(TypeError, match="SlicedScoreMatching learns an energy, and object has"):
        SlicedScoreMatching().check_model(object())
