"""Ranking metrics agree with scikit-learn, whatever the range of the scores."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score, roc_auc_score

import delvm_tf as dv

KINDS = {dv.metrics.AUROC: roc_auc_score, dv.metrics.AveragePrecision: average_precision_score}


def scores(rng, n=200):
    """Unbounded, with ties and infinities; abnormal ones are rare."""
    y = (rng.random(n) < 0.15).astype(int)
    values = np.round(np.exp(2 * rng.normal(size=n) + y), 1)
    values[:2] = np.inf, 200.0
    return y, values.astype("float32")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_batches_give_what_scikit_learn_gives_of_all(kind, weighted, mode, rng):
    y, values = scores(rng)
    weights = rng.integers(0, 3, len(y)).astype("float32") if weighted else None
    metric = kind(capacity=500)

    def update(*batch):
        metric.update_state(*batch)
        return metric.result()

    if mode != "eager":
        update = tf.function(update, jit_compile=mode == "xla")
    for start in range(0, len(y), 40):
        parts = [a[start : start + 40] for a in (y, values, weights) if a is not None]
        last = update(*(tf.constant(part) for part in parts))
    finite = np.minimum(values, 1e30)  # scikit-learn takes no infinity; the order is the same
    expected = KINDS[kind](y, finite, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)
    assert float(last) == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    assert metric.empty
    assert np.isnan(float(metric.result()))
    metric.update_state(y[:50, None], -values[:50, None])
    assert float(metric.result()) == pytest.approx(KINDS[kind](y[:50], -finite[:50]), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_answer_is_nan(kind):
    for y, values in (([0, 0], [1.0, 2.0]), ([1, 1], [1.0, 2.0]), ([0, 1], [1.0, np.nan])):
        metric = kind()
        metric.update_state(y, values)
        assert np.isnan(float(metric.result()))


def test_what_cannot_be_counted_is_refused():
    metric = dv.metrics.AUROC(capacity=3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be 1 .abnormal. and 0"):
        metric.update_state([-1, 1], [1.0, 2.0])
    metric.update_state([0, 1], [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"room for 3 examples.*capacity"):
        metric.update_state([0, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match="capacity must be a positive integer, got 0"):
        dv.metrics.AUROC(capacity=0)
    in_xla = tf.function(metric.update_state, jit_compile=True)
    in_xla(tf.constant([0, 1]), tf.constant([1.0, 2.0]))
    assert np.isnan(float(metric.result()))  # XLA cannot raise


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 5)).astype("float32") * [9, 5, 1, 1, 1]
    y = (np.arange(90) % 3 == 0).astype(int)
    x[y == 1, 3] += 4
    return x.astype("float32"), y


def model(**kwargs):
    made = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    made.adapt(data()[0])
    made.compile(keras.optimizers.Adam(1e-3), **kwargs)
    return made


def ranked():
    return [dv.metrics.AUROC(), dv.metrics.AveragePrecision()]


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("weighted_metrics", {}), ("metrics", {"run_eagerly": True}),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            ("metrics", {}), ("weighted_metrics", {"run_eagerly": True}),
            ("metrics", {"jit_compile": True}), ("weighted_metrics", {"jit_compile": True}),
        )),
    ],
)  # fmt: skip
def test_errors_above_one_are_ranked_in_fit_and_evaluate(argument, arguments):
    x, y = data()
    made = model(**{argument: ranked()}, **arguments)
    history = made.fit(x, y, batch_size=20, verbose=0, validation_data=(x, y)).history
    errors = made.reconstruction_error(x).numpy()
    assert errors.max() > 20
    expected = {"auroc": roc_auc_score(y, errors),
                "average_precision": average_precision_score(y, errors)}  # fmt: skip
    found = made.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6)
        assert history[f"val_{name}"][0] == pytest.approx(value, abs=1e-6)
        assert 0 < history[name][0] <= 1
    assert found["loss"] in made.evaluate(x, y, batch_size=32, verbose=0)


def test_normal_training_rows_without_labels_and_early_stopping_on_validation():
    x, y = data()
    made = model(metrics=[*ranked(), "mean_squared_error"])
    stop = keras.callbacks.EarlyStopping("val_auroc", mode="max", patience=1)
    history = made.fit(
        x[y == 0], epochs=3, verbose=0, validation_data=(x, y), callbacks=[stop]
    ).history
    assert {"val_auroc", "val_average_precision", "val_mean_squared_error"} <= set(history)
    assert not {"auroc", "average_precision", "mean_squared_error"} & set(history)
    with pytest.raises(ValueError, match="the data hold no labels y"):
        made.fit(x, verbose=0)
    with pytest.raises(ValueError, match="the data hold no labels y"):
        made.fit(tf.data.Dataset.from_tensor_slices(x).batch(10), verbose=0)


def test_a_saved_model_keeps_them(tmp_path):
    x, y = data()
    made = model(metrics=[dv.metrics.AUROC(capacity=1000)])
    made.fit(x, y, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = made.evaluate(x, y, verbose=0, return_dict=True)["auroc"]
    found = loaded.evaluate(x, y, verbose=0, return_dict=True)["auroc"]
    assert found == pytest.approx(expected)
    assert loaded.ranking_metrics[0].get_config()["capacity"] == 1000


def test_they_serve_any_keras_model():
    x, y = data()
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    other.compile("sgd", loss="mse", metrics=[dv.metrics.AUROC(capacity=100)])
    found = other.evaluate(x, y, verbose=0, return_dict=True)["auroc"]
    assert found == pytest.approx(roc_auc_score(y, other.predict(x, verbose=0)[:, 0]), abs=1e-6)


def test_a_mean_over_examples_weighs_each_once():
    """Also with a last batch that is smaller, and with weights of examples."""
    x, y = data()
    made = model(weighted_metrics=["mean_squared_error"])
    weights = np.linspace(0, 2, 90).astype("float32")
    found = made.evaluate(x, y, sample_weight=weights, batch_size=40, verbose=0, return_dict=True)
    errors = made.reconstruction_error(x).numpy()
    expected = np.average((errors - y) ** 2, weights=weights)
    assert found["mean_squared_error"] == pytest.approx(expected, rel=1e-5)
