"""A run that diverges stops, says what to change, and keeps its last good weights."""

import warnings

import keras
import numpy as np
import pytest

import delvm_tf as dv


def x():
    return np.random.default_rng(0).normal(size=(200, 6)).astype("float32") * [5, 4, 3, 1, 1, 1]


def model(**kwargs):
    made = dv.DELVM(dv.networks.ffnn((16,), seed=0), scale=3.0, **kwargs)
    made.adapt(x())
    return made


class Sabotage(keras.callbacks.Callback):
    """Makes the learning rate absurd from the given epoch on."""

    def __init__(self, epoch, rate=1e4):
        super().__init__()
        self.epoch, self.rate, self.good_weights = epoch, rate, None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.good_weights = self.model.get_weights()
            self.model.optimizer.learning_rate = self.rate


@pytest.mark.parametrize("rate", [1e4, 1e30], ids=["explodes", "overflows"])
def test_a_diverging_run_goes_back_to_the_last_good_epoch(rate):
    made = model()
    made.compile(keras.optimizers.SGD(1e-4))
    sabotage = Sabotage(2, rate)
    message = (
        r"diverged in epoch 3.*set back to those at the end of epoch 2.*learning rate \(now "
        r"1.*scale of the inputs \(now 3\)"
    )
    with pytest.raises(dv.TrainingDiverged, match=message):
        made.fit(x(), batch_size=20, epochs=9, verbose=0, callbacks=[sabotage])
    for a, b in zip(made.get_weights(), sabotage.good_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(made.energy(x())).all()


def test_a_run_that_diverges_at_once_keeps_its_first_weights():
    made = model()
    before = made.get_weights()
    made.compile(keras.optimizers.SGD(1e6))
    with pytest.raises(dv.TrainingDiverged, match="back to those from before training"):
        made.fit(x(), batch_size=20, epochs=2, verbose=0)
    for a, b in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_long_epoch_is_not_waited_for():
    made = model()
    made.compile(keras.optimizers.SGD(1e6))
    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    with pytest.raises(dv.TrainingDiverged):
        made.fit(
            np.repeat(x(), 20, axis=0), batch_size=1, verbose=0,
            callbacks=[count, dv.DivergenceGuard(check_every=10)],
        )  # fmt: skip
    assert len(seen) <= 20


def test_the_printed_sign_is_named_as_a_cause():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        objective = dv.ScoreMatching(sign="as_printed")
    network = dv.networks.ffnn((16,), activation="linear", use_bias=False, seed=0)
    made = dv.DELVM(network, objective=objective, scale=0.1)
    made.adapt(x())
    made.compile(keras.optimizers.Adam(1.0))
    with pytest.raises(dv.TrainingDiverged, match="printed sign has no minimum: stop earlier"):
        made.fit(x(), batch_size=20, epochs=100, verbose=0)


def test_a_step_that_is_not_finite_changes_no_weight():
    made = model()
    made.compile(keras.optimizers.SGD(1e-3))
    before = made.get_weights()
    bad = x().astype("float32")[:20]
    bad[0, 0] = np.nan
    made.train_on_batch(bad)
    assert made.health()["nonfinite_steps"] == 1
    assert made.health()["nonfinite_inputs"] == 1
    for a, b in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_healthy_run_is_left_alone():
    made = model()
    made.compile(keras.optimizers.Adam(1e-3))
    history = made.fit(x(), batch_size=20, epochs=3, verbose=0).history
    assert len(history["loss"]) == 3
    assert made.health()["nonfinite_steps"] == 0
