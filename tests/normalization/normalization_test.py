import warnings

import keras
import numpy as np
import pytest
import scipy.linalg
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import delvm_tf as dv
from delvm_tf.normalization import MODES, InputNormalization

EPSILON = 0.01


def adapted(x, mode, scale=1.0, **kwargs):
    layer = InputNormalization(mode, scale, **kwargs)
    layer.build((None, *x.shape[1:]))
    statistics = layer.new_statistics()
    for batch in np.split(x, [1, 20]):
        statistics.update(batch)
    layer.set_statistics(statistics)
    return layer


def correlated(rng, n=80, shape=(3, 2, 2)):
    d = int(np.prod(shape))
    rows = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.uniform(-5, 5, size=d)
    return rows.reshape(n, *shape)


def reference(rows, mode):
    """Normalised rows (n, d) in float64, by scikit-learn or plain linear algebra."""
    if mode == "none":
        return rows
    if mode == "minmax":
        return MinMaxScaler().fit_transform(rows.reshape(-1, 1)).reshape(rows.shape)
    if mode == "zscore":
        return StandardScaler().fit_transform(rows)
    centred = rows - rows.mean(axis=0)
    if mode == "center":
        return centred / np.sqrt(np.trace(np.cov(rows.T, ddof=0)) / rows.shape[1])
    covariance = np.cov(rows.T, ddof=0)
    ridge = EPSILON * np.trace(covariance) / len(covariance)
    regularized = covariance + ridge * np.eye(len(covariance))
    return centred @ scipy.linalg.fractional_matrix_power(regularized, -0.5)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_agrees_with_its_reference_in_float64(rng, mode):
    x = correlated(rng)
    layer = adapted(x, mode, scale=2.5, zca_epsilon=EPSILON, dtype="float64")
    z = layer(x)
    assert z.dtype == "float64"
    expected = 2.5 * reference(x.reshape(len(x), -1), mode)
    np.testing.assert_allclose(z, expected.reshape(x.shape), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_agrees_with_its_reference_in_float32(rng, mode):
    x = correlated(rng)
    z = adapted(x, mode, scale=0.5, zca_epsilon=EPSILON)(x)
    assert z.dtype == "float32"
    expected = 0.5 * reference(x.reshape(len(x), -1), mode)
    np.testing.assert_allclose(z, expected.reshape(x.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_invert_undoes_call(rng, mode):
    x = correlated(rng)
    layer = adapted(x, mode, scale=3.0, dtype="float64")
    np.testing.assert_allclose(layer.invert(layer(x)), x, rtol=1e-9, atol=1e-9)
    z = rng.normal(size=(7, *x.shape[1:]))
    np.testing.assert_allclose(layer(layer.invert(z)), z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 2.0])
def test_zca_shrinks_every_variance_to_its_ratio_with_epsilon_added(rng, epsilon):
    x = correlated(rng, n=200, shape=(6,))
    z = adapted(x, "zca", scale=2.0, zca_epsilon=epsilon, dtype="float64")(x).numpy()
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, ddof=0))
    expected = 4.0 * eigenvalues / (eigenvalues + epsilon * eigenvalues.mean())
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(z.T, ddof=0)), expected, rtol=1e-9)


def test_zca_stays_finite_with_fewer_examples_than_features(rng):
    x = rng.normal(size=(25, 40))
    layer = adapted(x, "zca", dtype="float64")
    assert np.isfinite(layer(x)).all()
    np.testing.assert_allclose(layer.invert(layer(x)), x, rtol=1e-8, atol=1e-8)


def test_center_keeps_the_ratio_of_variances_and_gives_mean_variance_one(rng):
    x = rng.normal(size=(90, 3)) * [1.0, 2.0, 10.0] + 4.0
    z = adapted(x, "center", dtype="float64")(x).numpy()
    assert z.var(axis=0).mean() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(z.var(axis=0) / z.var(axis=0)[0], x.var(axis=0) / x.var(axis=0)[0])


@pytest.mark.parametrize("mode", MODES)
def test_uint8_inputs_equal_the_same_numbers_in_float32(rng, mode):
    x = rng.integers(0, 256, size=(60, 3, 3, 1), dtype=np.uint8)
    layer = adapted(x, mode)
    np.testing.assert_array_equal(layer(x), layer(x.astype(np.float32)))
    assert layer(x).dtype == "float32"


def test_a_large_mean_does_not_spoil_the_spread(rng):
    centred = np.round(rng.normal(size=(200, 3)) * 64) / 16  # exact in float32 at 1e6
    z = adapted((centred + 1e6).astype(np.float32), "zscore")((centred + 1e6).astype(np.float32))
    np.testing.assert_allclose(np.var(z, axis=0), 1.0, rtol=1e-3)


def test_statistics_stay_float32_under_a_mixed_policy(rng):
    x = correlated(rng, shape=(4,))
    layer = adapted(x, "zscore", dtype="mixed_bfloat16")
    assert layer.result_dtype == "float32"
    np.testing.assert_allclose(
        layer(x.astype(np.float32)), StandardScaler().fit_transform(x), rtol=1e-4, atol=1e-5
    )


def test_zscore_warns_of_constant_features_and_only_centres_them(rng):
    x = rng.normal(size=(50, 4)) * 3.0
    x[:, 2] = 7.0
    with pytest.warns(UserWarning, match=r"1 of 4 features are constant .*first: \[2\]"):
        layer = adapted(x, "zscore", scale=2.0, dtype="float64")
    expected = 2.0 * StandardScaler().fit_transform(x)
    np.testing.assert_allclose(layer(x), expected, atol=1e-12)
    moved = np.where(np.arange(4) == 2, 8.5, x[:1])
    assert float(layer(moved)[0, 2]) == pytest.approx(2.0 * 1.5)


@pytest.mark.parametrize("mode", ["minmax", "center", "zca"])
def test_other_modes_do_not_mind_one_constant_feature(rng, mode):
    x = rng.normal(size=(50, 4))
    x[:, 2] = 7.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = adapted(x, mode)(x)
    assert np.isfinite(z).all()


@pytest.mark.parametrize("mode", ["minmax", "zscore", "center", "zca"])
def test_features_that_are_all_constant_are_refused(mode):
    x = np.tile([1.0, 2.0, 3.0], (40, 1))
    with pytest.raises(ValueError, match="every feature is constant over the 40 examples"):
        adapted(x, mode)


@pytest.mark.parametrize("mode", ["minmax", "zscore", "center", "zca"])
def test_a_single_example_is_refused(rng, mode):
    layer = InputNormalization(mode)
    layer.build((None, 3))
    statistics = layer.new_statistics()
    statistics.update(rng.normal(size=(1, 3)))
    with pytest.raises(ValueError, match=f"'{mode}' needs at least 2 examples .*got 1"):
        layer.set_statistics(statistics)
    assert not layer.adapted


def test_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="unknown normalization 'whiten'; expected one of none"):
        InputNormalization("whiten")


@pytest.mark.parametrize("name", ["scale", "zca_epsilon"])
@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "1", None])
def test_factors_must_be_positive_and_finite(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive finite number, got"):
        InputNormalization("zca", **{name: value})


def test_the_shape_of_one_input_must_be_known():
    with pytest.raises(ValueError, match="shape of one input must be known, got"):
        InputNormalization("zscore").build((None, None, 3))


def test_mode_none_is_adapted_from_the_start_and_the_others_once_built_and_fed(rng):
    assert InputNormalization("none").adapted
    layer = InputNormalization("zscore")
    assert not layer.adapted
    layer.build((None, 3))
    assert not layer.adapted
    assert adapted(rng.normal(size=(30, 3)), "zscore").adapted


def test_configuration_round_trip():
    layer = InputNormalization("zca", 2.0, 0.3, dtype="float64")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.mode, again.scale, again.zca_epsilon) == ("zca", 2.0, 0.3)
    assert again.result_dtype == "float64"


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_model_comes_back_adapted(rng, tmp_path, mode):
    x = correlated(rng, shape=(5,)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((4,)), normalization=mode, scale=2.0)
    model.adapt(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.normalization.adapted
    np.testing.assert_array_equal(loaded.normalization(x), model.normalization(x))
    np.testing.assert_allclose(
        loaded.normalization(x),
        2.0 * reference(x.astype(np.float64), mode),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_model_saved_before_adapting_still_asks_for_it(rng, tmp_path):
    model = dv.DELVM(dv.networks.ffnn((4,)), normalization="zscore")
    model.build((None, 5))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not loaded.normalization.adapted
    with pytest.raises(ValueError, match="the model is not adapted"):
        loaded.energy(rng.normal(size=(2, 5)))


CONSTANT = {
    "float64": np.where(np.arange(50) % 2, 0.3, 0.1 * 3),
    "sums": np.array([sum([0.1] * 10), 1.0] * 25),
    "float32": np.where(np.arange(50) % 2, 0.3, np.nextafter(np.float32(0.3), np.float32(1))),
}


@pytest.mark.parametrize("kind", CONSTANT)
def test_a_feature_that_is_constant_up_to_rounding_is_not_blown_up(rng, kind):
    column = CONSTANT[kind].astype("float32" if kind == "float32" else "float64")
    x = np.stack([column, rng.normal(size=50).astype(column.dtype)], axis=1)
    with pytest.warns(UserWarning, match=r"1 of 2 features are constant.*first: \[0\]"):
        layer = adapted(x, "zscore")
    new = x[:1].copy()
    new[0, 0] += 0.01
    assert abs(layer(new)[0, 0]) < 0.011
    for mode in ("center", "zscore", "minmax"):
        with pytest.raises(ValueError, match="every feature is constant over the 50 examples"):
            adapted(np.stack([column, column], axis=1), mode)
    whitened = adapted(x, "zca", zca_epsilon=1e-6, dtype="float64")
    assert np.isfinite(whitened(x)).all()


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_small_steps_at_a_large_offset_are_no_rounding(rng, dtype):
    x = (1.7e9 + rng.integers(0, 3, size=(50, 2))).astype(dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*constant")
        warnings.filterwarnings("ignore", message=".*spreads away")
        z = adapted(x, "zscore")(x)
    np.testing.assert_allclose(np.std(z, axis=0), 1.0, rtol=1e-5)


def test_no_mode_is_the_mode_none():
    assert InputNormalization(None).mode == "none"
    assert InputNormalization.from_config(InputNormalization(None).get_config()).mode == "none"


def test_values_beyond_float32_are_refused(rng):
    model = dv.DELVM(dv.networks.ffnn((4,)))
    with pytest.raises(ValueError, match="beyond the range of float32"):
        model.adapt(1e39 * rng.normal(size=(20, 3)))
