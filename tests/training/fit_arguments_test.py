"""Labels, weights and numbers beside x: each works, or says what is wrong before any work."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

N, D = 40, 6


def x():
    return np.random.default_rng(0).normal(size=(N, D)).astype("float32")


def y():
    return np.arange(N) % 2


def model(**kwargs):
    made = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    made.adapt(x())
    made.compile("adam", **kwargs)
    return made


def stream(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(10)


def batches():
    for _ in range(3):
        yield x()[:10], y()[:10]


class Columns(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"a": x()[:10], "b": x()[:10]}


NONE = np.full(N, None)
REFUSED = {
    "class weights without labels": (
        lambda: ((x(),), {"class_weight": {0: 1.0}}), ValueError, "data hold no labels y",
    ),
    "class weights of a stream without labels": (
        lambda: ((stream(x()),), {"class_weight": {0: 1.0}}), ValueError, "data hold no labels y",
    ),
    "class weights in a list": (
        lambda: ((x(), y()), {"class_weight": [1.0, 2.0]}), TypeError, "must be a dict from",
    ),
    "classes that are names": (
        lambda: ((x(), y()), {"class_weight": {"0": 1.0}}), TypeError, "from numbers of classes",
    ),
    "a class of negative weight": (
        lambda: ((x(), y()), {"class_weight": {1: -1.0}}), ValueError, "at least 0, got -1.0",
    ),
    "classes that are fractions": (
        lambda: ((x(), y() / 2), {"class_weight": {0: 1.0}}), ValueError, "whole numbers",
    ),
    "a stream of dicts": (
        lambda: ((stream({"a": x(), "b": x()}),), {}), TypeError, "holds a dict of a, b; join",
    ),
    "a PyDataset of dicts": (lambda: ((Columns(),), {}), TypeError, "holds a dict of a, b"),
    "a dict": (lambda: (({"a": x()},), {}), TypeError, "holds a dict of a"),
    "validation by a dict": (
        lambda: ((x(),), {"validation_data": stream({"a": x()})}), TypeError, "a dict of a",
    ),
    "a used up generator": (
        lambda: ((x(),), {"validation_data": batches(), "epochs": 2}), ValueError,
        "read only once.*validation_steps",
    ),
    "text as weights": (
        lambda: ((x(),), {"sample_weight": ["a"] * N}), TypeError, "sample_weight must be numbers",
    ),
    "one weight": (lambda: ((x(),), {"sample_weight": 2.0}), ValueError, r"\(n,\), got shape \(\)"),
    "weights of values": (
        lambda: ((x(),), {"sample_weight": np.ones((N, D))}), ValueError, r"got shape \(40, 6\)",
    ),
    "weights of values in a stream": (
        lambda: ((stream(x(), y(), np.ones((N, D))),), {}), ValueError, r"\(batch,\), got",
    ),
    "negative weights": (
        lambda: ((x(),), {"sample_weight": -np.ones(N)}), ValueError,
        r"negative, NaN or infinite values in 40 of 40 examples \(first rows: \[0, 1, 2, 3, 4\]\)",
    ),
    "NaN as weights": (
        lambda: ((x(),), {"sample_weight": np.full(N, np.nan)}), ValueError, "in 40 of 40 examples",
    ),
    "negative weights in a stream": (
        lambda: ((stream(x(), y(), -np.ones(N)),), {}), ValueError,
        "4 training batches of epoch 1 hold sample weights that are negative",
    ),
    "too few weights in a list": (
        lambda: ((x(),), {"sample_weight": [1.0] * 3}), ValueError, "sample_weight has 3 entries",
    ),
    "weights of validation": (
        lambda: ((x(),), {"validation_data": (x(), y(), -np.ones(N))}), ValueError, "negative",
    ),
    "labels beside a stream": (
        lambda: ((stream(x()), y()), {}), ValueError, "part of its batches",
    ),
    "weights beside a generator": (
        lambda: ((batches(),), {"sample_weight": np.ones(N)}), ValueError, "part of its batches",
    ),
    "text as labels": (lambda: ((x(), ["a"] * N), {}), TypeError, "labels y must be numbers"),
    "nothing as labels": (lambda: ((x(), NONE), {}), TypeError, "labels y must be numbers"),
    "dates as labels": (
        lambda: ((x(), np.full(N, np.datetime64("2020"))), {}), TypeError, "dtype datetime64",
    ),
    "one label": (lambda: ((x(), 3), {}), ValueError, "one for each example, got the number 3"),
    "no rows": (lambda: ((x(),), {"batch_size": 0}), ValueError, "batch_size must be at least 1"),
    "negative rows": (lambda: ((x(),), {"batch_size": -1}), ValueError, "at least 1, got -1"),
    "half a row": (lambda: ((x(),), {"batch_size": 2.5}), TypeError, "a whole number, got 2.5"),
    "no steps": (
        lambda: ((x(),), {"steps_per_epoch": 0}), ValueError, "steps_per_epoch must be at least 1",
    ),
    "negative epochs": (lambda: ((x(),), {"epochs": -1}), ValueError, "epochs must be at least 0"),
    "half an epoch": (lambda: ((x(),), {"epochs": 1.5}), TypeError, "epochs must be a whole"),
    "validation every zeroth epoch": (
        lambda: ((x(),), {"validation_data": (x(),), "validation_freq": 0}), ValueError,
        "validation_freq must be a number of epochs of at least 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind):
    arguments, error, message = REFUSED[kind]
    positional, named = arguments()
    made = model()
    before = made.get_weights()
    with pytest.raises(error, match=message):
        made.fit(*positional, verbose=0, **named)
    for a, b in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_to_train():
    made = model()
    made.trainable = False
    made.compile("adam")
    for call in (lambda: made.fit(x(), verbose=0), lambda: made.train_on_batch(x())):
        with pytest.raises(ValueError, match=r"delvm.* has no trainable weights.*trainable = True"):
            call()
    assert np.isfinite(made.evaluate(x(), verbose=0, return_dict=True)["loss"])


def test_single_batches_are_checked_too():
    with pytest.raises(ValueError, match="no labels y; give labels, or sample_weight"):
        model().train_on_batch(x(), class_weight={0: 1.0})
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        model().evaluate(x(), batch_size=0, verbose=0)
    with pytest.raises(ValueError, match="the data hold no labels y"):
        model(metrics=["mse"]).test_on_batch(x())


def test_a_single_batch_may_be_the_first_that_xla_compiles():
    found = model(jit_compile=True).train_on_batch(x(), return_dict=True)
    assert np.isfinite(found["loss"])


def test_metrics_that_rank_ask_for_zeros_and_ones():
    made = model(metrics=[dv.metrics.AUROC()])
    with pytest.raises(ValueError, match=r"1 = abnormal and 0 = normal, got \[-1, 1\]"):
        made.fit(x(), 2 * y() - 1, verbose=0)
    with pytest.raises(ValueError, match=r"one label for each example, \(n,\), got shape \(40, 2"):
        made.evaluate(x(), np.eye(2)[y()], verbose=0)
    with pytest.raises(ValueError, match="the data hold no labels y"):
        made.fit(x(), sample_weight=np.ones(N), validation_data=(x(), y()), verbose=0)


@pytest.mark.parametrize("kind", ["list", "column", "bool"])
def test_weights_and_labels_in_other_forms_mean_the_same(kind):
    weights = np.where(y() == 1, 1.0, 0.0)
    other = {"list": weights.tolist(), "column": weights[:, None], "bool": weights > 0}[kind]
    labels = {"list": y().tolist(), "column": y()[:, None], "bool": y() > 0}[kind]
    found = []
    for label, weight in ((y(), weights), (labels, other)):
        made = model(metrics=[dv.metrics.AUROC()], run_eagerly=kind != "column")
        made.fit(x(), label, sample_weight=weight, verbose=0, shuffle=False)
        found.append(made.evaluate(x(), label, verbose=0))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_class_weights_weigh_the_examples_of_a_class():
    made, other = model(), model()
    made.fit(x(), y(), class_weight={0: 1.0, 1: 3.0}, shuffle=False, verbose=0)
    other.fit(x(), sample_weight=1.0 + 2.0 * y(), shuffle=False, verbose=0)
    for a, b in zip(made.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("metrics", [{"metrics": []}, {"weighted_metrics": []}])
def test_no_metrics_need_no_labels(metrics):
    assert "loss" in model(**metrics).fit(x(), verbose=0).history


def test_no_epochs_are_no_training():
    made = model()
    before = made.get_weights()
    assert made.fit(x(), epochs=0, verbose=0).history == {}
    for a, b in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_generator_that_never_ends_validates_by_steps():
    def forever():
        while True:
            yield x()[:10], y()[:10]

    history = model(metrics=[dv.metrics.AUROC()]).fit(
        x(), epochs=2, validation_data=forever(), validation_steps=2, verbose=0
    )
    assert len(history.history["val_auroc"]) == 2
