"""A training step that is not finite changes nothing, and evaluation never changes anything."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.catalog import make_objective

N, D, BATCH = 40, 6, 10

OBJECTIVES = {
    "exact": ("score-matching", {}),
    "probes": ("score-matching", {"trace": "hutchinson"}),
    "sliced": ("sliced", {}),
    "denoising": ("denoising", {}),
    "levels": ("denoising", {"sigma": (1.0, 0.5)}),
    "chains from data": ("cd", {"k": 2, "data_noise": 0.1}),
    "persistent chains": ("persistent-cd", {"k": 2, "chains": 8}),
    "buffer": ("langevin-cd", {"k": 2, "step_size": 0.1, "chains": 8, "buffer": 20}),
}


def rows(n=N):
    return np.random.default_rng(0).normal(size=(n, D)).astype("float32")


def broken():
    x = rows(BATCH)
    x[3, 2] = np.nan
    return x


def optimizer(**kwargs):
    return keras.optimizers.AdamW(1e-2, weight_decay=0.1, use_ema=True, **kwargs)


def energy_model(objective, **kwargs):
    name, settings = OBJECTIVES[objective]
    model = dv.DELVM(
        dv.networks.ffnn((5,), seed=0), objective=make_objective(name, seed=1, **settings)
    )
    return compiled(model, **kwargs)


def autoencoder(**kwargs):
    """With batch statistics and dropout, which change when it is trained."""
    code = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(0))
    layers = [code, keras.layers.BatchNormalization(), keras.layers.Dropout(0.2, seed=1)]
    back = keras.layers.Dense(D, kernel_initializer=keras.initializers.GlorotUniform(1))
    network = keras.Sequential([keras.Input((D,)), *layers])
    decoder = keras.Sequential([keras.Input((4,)), back])
    objective = dv.Reconstruction(noise=0.3, seed=2)
    return compiled(dv.Autoencoder(network, decoder, objective=objective), **kwargs)


def compiled(model, **kwargs):
    keras.utils.set_random_seed(0)
    model.adapt(rows())
    model.compile(kwargs.pop("optimizer", None) or optimizer(), **kwargs)
    return model


def state(model):
    """Weights, statistics, chains and random generators; and the optimizer's variables."""
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def stream(*batches):
    data = tf.data.Dataset.from_tensor_slices(np.concatenate(batches))
    return data.batch(BATCH, drop_remainder=True)


class Unwatched(dv.DivergenceGuard):
    """Lets a run with bad batches go on."""

    def _check(self):
        pass


def fit(model, *batches, **kwargs):
    model.fit(stream(*batches), verbose=0, callbacks=[Unwatched()], **kwargs)
    return model


MODELS = {**{name: lambda name=name, **k: energy_model(name, **k) for name in OBJECTIVES},
          "batch statistics and dropout": autoencoder}  # fmt: skip
FAST = ("levels", "buffer", "batch statistics and dropout")


def all_but_some_slow(fast):
    return [n if n in fast else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]


ALL = all_but_some_slow(FAST)


class TestAStepThatIsNotFinite:
    @pytest.mark.parametrize("name", ALL)
    def test_changes_no_weight_no_moment_no_statistic_and_no_chain(self, name):
        model = fit(MODELS[name](), rows())
        before = state(model)
        model.train_on_batch(broken())
        assert model.health()["nonfinite_steps"] == 1
        assert_same(state(model), before)

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("levels", {"jit_compile": True}),
            ("batch statistics and dropout", {"run_eagerly": True}),
            ("batch statistics and dropout", {"steps_per_execution": 3}),
            *(pytest.param(*each, marks=pytest.mark.slow) for each in (
                ("batch statistics and dropout", {"jit_compile": True}),
                ("levels", {"run_eagerly": True}), ("levels", {"steps_per_execution": 3}),
            )),
        ],
    )  # fmt: skip
    def test_a_bad_batch_in_between_is_as_if_it_had_not_been(self, name, arguments):
        with_bad = fit(MODELS[name](**arguments), rows(20), broken(), rows(30)[20:])
        without = fit(MODELS[name](**arguments), rows(30))
        assert_same(state(with_bad), state(without))
        assert int(with_bad.optimizer.iterations) == 3

    def test_gradients_that_accumulate_leave_it_out(self):
        made = [
            energy_model("exact", optimizer=optimizer(gradient_accumulation_steps=2))
            for _ in range(2)
        ]
        fit(made[0], rows(10), broken(), rows(20)[10:])
        fit(made[1], rows(20))
        assert_same(state(made[0]), state(made[1]))

    @pytest.mark.parametrize(
        "bad", [pytest.param(np.inf, marks=pytest.mark.slow), 1e30], ids=["infinite", "overflows"]
    )
    def test_inputs_that_overflow_count_too(self, bad):
        model = fit(autoencoder(), rows())
        before = state(model)
        x = rows(BATCH)
        x[0, 0] = bad
        model.train_on_batch(x)
        assert_same(state(model), before)

    def test_statistics_of_a_batch_with_nan_do_not_poison_an_autoencoder(self):
        model = autoencoder()
        with pytest.raises(ValueError, match="were not touched"):
            model.fit(stream(rows(), broken()), verbose=0)
        assert np.isfinite(model.reconstruction_error(rows())).all()

    def test_a_loss_scale_sees_the_overflow_and_shrinks(self):
        keras.config.set_dtype_policy("mixed_float16")
        scaled = keras.optimizers.LossScaleOptimizer(optimizer(), initial_scale=2.0**40)
        model = autoencoder(optimizer=scaled)
        model.optimizer.build(model.trainable_variables)
        before = [np.asarray(v) for v in (*model.variables, *scaled.inner_optimizer.variables)]
        model.train_on_batch(rows(BATCH))
        after = [np.asarray(v) for v in (*model.variables, *scaled.inner_optimizer.variables)]
        assert_same(after, before)
        assert float(scaled.dynamic_scale) == 2.0**39
        assert model.health()["nonfinite_steps"] == 0  # it is no sign of divergence
        scaled.dynamic_scale.assign(1.0)
        model.train_on_batch(rows(BATCH))
        assert int(scaled.iterations) == 1
        assert float(scaled.dynamic_scale) == 1.0

    def test_it_is_found_before_validation_begins_to_count_anew(self):
        with pytest.raises(ValueError, match="1 training batches of epoch 1 hold NaN"):
            energy_model("exact").fit(
                stream(rows(), broken()), verbose=0, validation_data=(rows(),)
            )

    def test_sound_steps_are_those_of_the_bare_optimizer(self):
        """A step with AdamW, by hand: m = (1−β₁)g and v = (1−β₂)g² give ∓rate, after decay."""
        model = energy_model("exact", optimizer=keras.optimizers.AdamW(1e-2, weight_decay=0.1))
        before = model.network.get_weights()[0]
        model.fit(rows(), batch_size=N, verbose=0)
        moved = model.network.get_weights()[0] - before * (1 - 1e-2 * 0.1)
        np.testing.assert_allclose(np.abs(moved), 1e-2, rtol=1e-3)


class TestEvaluation:
    @pytest.mark.parametrize("name", all_but_some_slow(("buffer", "batch statistics and dropout")))
    def test_changes_nothing_and_gives_the_same_numbers_again(self, name):
        model = fit(MODELS[name](), rows())
        before = state(model)
        first = model.evaluate(rows(), batch_size=BATCH, verbose=0)
        assert_same(state(model), before)
        assert model.evaluate(rows(), batch_size=BATCH, verbose=0) == first

    @pytest.mark.parametrize("name", all_but_some_slow(("buffer", "batch statistics and dropout")))
    def test_training_is_the_same_with_and_without_validation(self, name):
        alone, watched = MODELS[name](), MODELS[name]()
        arguments = {"batch_size": BATCH, "epochs": 3, "verbose": 0}
        keras.utils.set_random_seed(5)
        alone.fit(rows(), **arguments)
        keras.utils.set_random_seed(5)
        history = watched.fit(rows(), validation_data=(rows(),), **arguments).history
        assert len(history["val_loss"]) == 3
        assert_same(state(watched), state(alone))

    def test_every_batch_has_noise_of_its_own_and_not_that_of_training(self):
        seen = []

        class Recorded(dv.DenoisingScoreMatching):
            def compute(self, model, z, training):
                seen.append((training, dv.noise.next_seed(self.seed_generator).numpy().tolist()))
                return super().compute(model, z, training)

        model = dv.DELVM(dv.networks.ffnn((5,)), objective=Recorded(seed=3))
        compiled(model, run_eagerly=True)
        model.fit(rows(), batch_size=BATCH, verbose=0)
        for _ in range(2):
            model.evaluate(rows(), batch_size=BATCH, verbose=0)
        drawn = {flag: [tuple(seed) for t, seed in seen if t is flag] for flag in (True, False)}
        assert drawn[False][:4] == drawn[False][4:]
        assert len({*drawn[True], *drawn[False]}) == 8

    def test_what_the_same_seed_evaluates_does_not_depend_on_how_long_was_trained(self, tmp_path):
        """So that validation losses of all epochs compare the same noise."""
        model = energy_model("denoising")
        before = model.evaluate(rows(), verbose=0)
        weights = model.get_weights()
        fit(model, rows())
        model.set_weights(weights)
        assert model.evaluate(rows(), verbose=0) == before
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.evaluate(rows(), verbose=0) == pytest.approx(before, rel=1e-6)
