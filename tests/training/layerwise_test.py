"""Training layer by layer."""

import keras
import numpy as np
import pytest

import delvm_tf as dv

SETTINGS = {"batch_size": 20, "verbose": 0, "shuffle": False}


@pytest.fixture
def x(rng):
    return (rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6))).astype("float32")


def make(x, units=(8, 7, 5), **kwargs):
    model = dv.DELVM(
        dv.networks.ffnn(units, "softplus", seed=0), objective=dv.ScoreMatching(seed=0), **kwargs
    )
    model.adapt(x)
    return model


class Watch(keras.callbacks.Callback):
    """Notes which stage runs and what it trains."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        trained = sorted(v.path for v in self.model.trainable_variables)
        self.seen.append((self.model.stage.title, epoch, round(rate, 9), len(trained)))


class Interrupt(keras.callbacks.Callback):
    """Stops a run at the beginning of an epoch of a stage."""

    def __init__(self, layer, epoch):
        super().__init__()
        self.at = (layer, epoch)

    def on_epoch_begin(self, epoch, logs=None):
        if (self.model.stage.layer, epoch) == self.at:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_each_layer_is_trained_in_turn_with_its_own_rate(x):
    watch = Watch()
    model = make(x)
    histories = dv.fit_layerwise(
        model, x, epochs=[1, 2, 1], learning_rates=[1e-2, 1e-3, 1e-4], joint_epochs=1,
        callbacks=[watch], **SETTINGS,
    )  # fmt: skip
    assert watch.seen == [
        ("layer 1 of 3", 0, 1e-2, 2),
        ("layer 2 of 3", 0, 1e-3, 2),
        ("layer 2 of 3", 1, 1e-3, 2),
        ("layer 3 of 3", 0, 1e-4, 2),
        ("all layers", 0, 1e-4, 6),
    ]
    assert list(histories) == ["layer 1 of 3", "layer 2 of 3", "layer 3 of 3", "all layers"]
    assert len(histories["layer 2 of 3"]["loss"]) == 2
    assert all(layer.trainable for layer in model.network.layers)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_stage_is_the_model_cut_off_after_its_layer(x, depth):
    """Energy by hand: half the input's norm less half that of the layer's output."""
    model = make(x)
    stage = model.layer_stage(depth)
    z = model.normalization(x)
    h = z
    for layer in model.network.layers[:depth]:
        h = layer(h)
    expected = 0.5 * np.square(z).sum(1) - 0.5 * np.square(h).sum(1)
    np.testing.assert_allclose(stage.energy(x), expected, rtol=1e-4, atol=1e-4)
    assert [layer.trainable for layer in model.network.layers[:depth]] == [False] * (depth - 1) + [
        True
    ]


def test_only_the_new_layer_changes_and_it_is_the_models_own(x):
    model = make(x)
    before = [[w.numpy() for w in layer.weights] for layer in model.network.layers]
    dv.fit_layerwise(model, x, epochs=[0, 2, 0], learning_rates=1e-2, **SETTINGS)
    changed = [
        any(not np.array_equal(w, v) for w, v in zip(layer.weights, old, strict=True))
        for layer, old in zip(model.network.layers, before, strict=True)
    ]
    assert changed == [False, True, False]


def test_the_first_stage_is_the_training_of_a_one_layer_model(x):
    deep, flat = make(x), make(x, units=(8,))
    dv.fit_layerwise(deep, x, epochs=[3, 0, 0], learning_rates=1e-2, **SETTINGS)
    flat.compile(keras.optimizers.Adam(1e-2))
    flat.fit(x, epochs=3, **SETTINGS)
    for ours, theirs in zip(deep.network.layers[0].weights, flat.network.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_convolutional_layers_grow_with_what_follows_them(rng):
    images = rng.normal(size=(20, 8, 8, 1)).astype("float32")
    network = keras.Sequential(
        [
            keras.layers.Conv2D(3, 3, padding="same"),
            keras.layers.Activation("softplus"),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(2, 3, padding="same", activation="softplus"),
        ]
    )
    model = dv.DELVM(network, objective=dv.ScoreMatching("exact"))
    model.adapt(images)
    assert model.layer_count == 2
    assert model.layer_stage(1).network.output_shape == (None, 4, 4, 3)
    histories = dv.fit_layerwise(model, images, epochs=3, learning_rates=1e-2, **SETTINGS)
    for history in histories.values():
        assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    "at", [(1, 1), *(pytest.param((layer, 1), marks=pytest.mark.slow) for layer in (2, 3))]
)
def test_an_interrupted_run_goes_on_to_the_same_result(x, tmp_path, at):
    settings = {
        "epochs": 2, "learning_rates": [1e-2, 1e-3], "joint_epochs": 2, **SETTINGS,
    }  # fmt: skip
    whole = make(x, units=(8, 5))
    expected = dv.fit_layerwise(whole, x, **settings)

    with pytest.raises(KeyboardInterrupt):
        dv.fit_layerwise(
            make(x, units=(8, 5)),
            x,
            callbacks=[Interrupt(*at)],
            backup_dir=tmp_path / "backup",
            **settings,
        )
    again = make(x, units=(8, 5))
    histories = dv.fit_layerwise(again, x, backup_dir=tmp_path / "backup", **settings)
    for one, other in zip(whole.network.weights, again.network.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    assert list(histories) == list(expected)
    assert not (tmp_path / "backup").exists()


def test_a_backup_of_another_run_is_refused(x, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        dv.fit_layerwise(
            make(x), x, epochs=1, callbacks=[Interrupt(2, 0)], backup_dir=tmp_path, **SETTINGS
        )
    with pytest.raises(ValueError, match="backup of another run"):
        dv.fit_layerwise(make(x), x, epochs=5, backup_dir=tmp_path, **SETTINGS)


def test_the_optimizer_is_taken_over_with_its_settings(x):
    watch = Watch()
    dv.fit_layerwise(
        make(x, units=(8, 5)), x, epochs=1, learning_rates=0.5,
        optimizer=keras.optimizers.SGD(clipnorm=0.1), callbacks=[watch], **SETTINGS,
    )  # fmt: skip
    assert watch.model.optimizer.clipnorm == 0.1
    assert isinstance(watch.model.optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": [1, 2]}, "epochs has 2 entries for 3 layers"),
        ({"learning_rates": [0.1]}, "learning_rates has 1 entries for 3 layers"),
        ({"learning_rates": 0.0}, "learning_rates must be numbers from"),
        ({"epochs": -1}, "epochs must be numbers from 0"),
    ],
)
def test_numbers_must_fit_the_layers(x, settings, message):
    with pytest.raises(ValueError, match=message):
        dv.fit_layerwise(make(x), x, **settings)


def test_networks_that_branch_and_models_without_layers_are_refused(x):
    inputs = keras.Input((6,))
    h = keras.layers.Dense(6)(inputs)
    branching = dv.DELVM(keras.Model(inputs, h + inputs), normalization="none")
    branching.build((None, 6))
    with pytest.raises(ValueError, match="not a chain of layers"):
        dv.fit_layerwise(branching, x)
    with pytest.raises(TypeError, match="has no layers to grow"):
        dv.fit_layerwise(keras.Sequential(), x)
    with pytest.raises(ValueError, match="depth must lie between 1 and 3, got 4"):
        make(x).layer_stage(4)


def test_a_model_that_is_not_adapted_is_refused_before_any_training(x):
    model = dv.DELVM(dv.networks.ffnn((4, 3), seed=0))
    with pytest.raises(ValueError, match="not adapted"):
        dv.fit_layerwise(model, x)


class Fail(keras.callbacks.Callback):
    """Stops a stage with an error."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.stage.layer == self.layer:
            raise RuntimeError("stopped")


MODELS = {
    "delvm": lambda: dv.DELVM(dv.networks.ffnn((5, 3), "softplus", seed=0)),
    "cebm": lambda: dv.CEBM(dv.networks.ffnn((5, 3), "softplus", seed=0), latents=2),
    "autoencoder": lambda: dv.Autoencoder(dv.networks.ffnn((5, 3), seed=0)),
    "dbn": lambda: dv.DBN((5, 3), seed=0),
    "dbm": lambda: dv.DBM((5, 3), seed=0),
}


@pytest.mark.parametrize(
    ("name", "fails_at"),
    [
        ("delvm", 3), ("autoencoder", None), ("dbn", 2),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            ("delvm", None),
            ("cebm", None), ("dbn", None), ("dbm", None), ("dbm", 2), ("autoencoder", 3),
        )),
    ],
)  # fmt: skip
def test_the_model_is_compiled_as_before(x, name, fails_at):
    model = MODELS[name]()
    model.adapt(x)
    optimizer = keras.optimizers.SGD(0.125)
    metrics = [keras.metrics.MeanSquaredError(name="mine")]
    model.compile(optimizer, metrics=metrics, steps_per_execution=2, jit_compile=False)
    frozen = next(
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)
    )
    frozen.trainable = False
    before = dict(vars(model))
    flags = [layer.trainable for layer in model._flatten_layers()]
    settings = {**SETTINGS, "epochs": 1, "joint_epochs": 1}
    if fails_at is None:
        frozen.trainable = True
        flags = [layer.trainable for layer in model._flatten_layers()]
        dv.fit_layerwise(model, x, **settings)
    else:
        with pytest.raises(RuntimeError, match="stopped"):
            dv.fit_layerwise(model, x, callbacks=[Fail(fails_at)], **settings)
    assert model.optimizer is optimizer
    assert int(optimizer.iterations) == 0
    assert float(optimizer.learning_rate) == 0.125
    assert model.steps_per_execution == 2
    assert model.jit_compile is False
    assert not hasattr(model, "stage")
    assert {n: id(v) for n, v in vars(model).items()} == {n: id(v) for n, v in before.items()}
    assert [layer.trainable for layer in model._flatten_layers()] == flags
    logs = model.evaluate(x, np.zeros(len(x)), return_dict=True, verbose=0)
    assert "mine" in logs


def test_a_model_that_was_not_compiled_is_not(x):
    model = make(x, units=(8, 5))
    dv.fit_layerwise(model, x, epochs=1, **SETTINGS)
    assert not model.compiled
    assert getattr(model, "optimizer", None) is None


def test_a_backup_folder_that_holds_something_else_is_refused(x, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    model = make(x)
    weights = [w.numpy() for w in model.weights]
    with pytest.raises(FileExistsError, match=r"thesis\.tex.*choose another folder"):
        dv.fit_layerwise(model, x, epochs=1, backup_dir=tmp_path, **SETTINGS)
    for before, after in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_only_backups_are_removed_at_the_end(x, tmp_path):
    folder = tmp_path / "backup"

    class Add(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            (folder / "notes.txt").write_text("mine")
            stage = folder / f"stage-{self.model.stage.layer}"
            stage.mkdir(exist_ok=True)
            (stage / "mine.h5").write_text("mine")

    dv.fit_layerwise(make(x), x, epochs=[1, 0, 0], callbacks=[Add()], backup_dir=folder, **SETTINGS)
    left = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert left == ["notes.txt", "stage-1/mine.h5"]
    (tmp_path / "empty").mkdir()
    dv.fit_layerwise(make(x), x, epochs=[1, 0, 0], backup_dir=tmp_path / "empty", **SETTINGS)
    assert list((tmp_path / "empty").iterdir()) == []
