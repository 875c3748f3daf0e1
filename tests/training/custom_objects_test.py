"""Who saves what Keras cannot load is told at once, and who loads it, in one sentence."""

import contextlib
import json
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm.command import main
from delvm_tf.detection import content
from delvm_tf.models.copies import full_copy, untrained_copy
from delvm_tf.training.custom_objects import unknown_in

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


class Mixing(keras.layers.Layer):
    """A layer that is not registered."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Units(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.ones(shape, dtype)

    def get_config(self):
        return {}


class Halves(keras.constraints.Constraint):
    def __call__(self, w):
        return w


class Descent(keras.optimizers.SGD):
    pass


class Largest(keras.metrics.Metric):
    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.most = self.add_variable(shape=(), initializer="zeros", name="most")

    def update_state(self, y, score, sample_weight=None):
        self.most.assign(keras.ops.maximum(self.most, keras.ops.max(score)))

    def result(self):
        return self.most


class Denoising(dv.DenoisingScoreMatching):
    pass


class Closed(keras.layers.Layer):
    """One whose configuration does not fit."""

    def __init__(self, units):
        super().__init__()
        self.inner = keras.layers.Dense(units)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x):
        return self.inner(x)


def gated(x):
    return x * keras.ops.sigmoid(x)


def ones(shape, dtype=None):
    return keras.ops.ones(shape, dtype)


def dense(**arguments):
    return keras.Sequential([keras.layers.Dense(3, **arguments)])


def model_of(network, objective=None, optimizer="adam", metrics=None):
    model = dv.DELVM(network, objective or dv.DenoisingScoreMatching(), name="mine")
    model.adapt(X)
    model.compile(optimizer, metrics=metrics)
    return model


PARTS = {
    "layer": (Mixing, lambda: model_of(keras.Sequential([Mixing(3)]))),
    "activation": (gated, lambda: model_of(dense(activation=gated))),
    "activation of levels": (
        gated,
        lambda: dv.NoiseConditionalDELVM(
            dv.networks.level_ffnn((3,), gated), normalization="none", name="mine"
        ),
    ),
    "initialiser": (Units, lambda: model_of(dense(kernel_initializer=Units()))),
    "function to initialise": (ones, lambda: model_of(dense(kernel_initializer=ones))),
    "constraint": (Halves, lambda: model_of(dense(kernel_constraint=Halves()))),
    "function of a layer": (
        gated,
        lambda: model_of(keras.Sequential([keras.layers.Lambda(gated)])),
    ),
    "objective": (Denoising, lambda: model_of(dense(), Denoising())),
    "optimizer": (Descent, lambda: model_of(dense(), optimizer=Descent())),
    "metric": (Largest, lambda: model_of(dense(), metrics=[Largest()])),
}


@contextlib.contextmanager
def told(match):
    """That a warning fits a pattern, in a context that gives all that were said."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")  # what Keras and NumPy say of each other
        warnings.simplefilter("always", UserWarning)
        yield found
    assert any(re.search(match, str(each.message)) for each in found), [*map(str, found)]


def kind_of(part):
    return "class" if isinstance(part, type) else "function"


@pytest.mark.parametrize("case", PARTS)
def test_what_is_not_registered_is_named_when_saved_and_when_loaded(case, tmp_path):
    part, made = PARTS[case]
    model, path, name = made(), tmp_path / "m.keras", part.__name__
    if not model.built:
        model.build((None, 4))
    with told("is saved, but") as found:
        model.save(path)
    (said,) = [each for each in found if "is saved" in str(each.message)]
    assert said.filename == __file__
    assert f"custom_objects={{'{name}': {name}}}" in str(said.message)
    assert f"does not know the {kind_of(part)} {name}" in str(said.message)
    assert "@keras.saving.register_keras_serializable() above it, and save again" in (
        str(said.message)
    )
    with pytest.raises(ValueError, match=rf"for Keras does not know the \w+ {name}") as error:
        keras.saving.load_model(path)
    assert f"load it with custom_objects={{'{name}': {name}}}" in str(error.value)
    assert len(str(error.value)) < 200
    assert error.value.__cause__ is None
    again = keras.saving.load_model(path, custom_objects={name: part})
    np.testing.assert_array_equal(again.energy(X), model.energy(X))


@pytest.mark.parametrize("case", PARTS)
def test_a_copy_in_the_same_program_needs_no_registration(case):
    model = PARTS[case][1]()
    if not model.built:
        model.build((None, 4))
    np.testing.assert_array_equal(full_copy(model).energy(X), model.energy(X))
    assert type(untrained_copy(model)) is dv.DELVM or case == "activation of levels"


def test_a_detector_trains_with_an_activation_of_ones_own():
    model = model_of(dense(activation=gated), optimizer=Descent(1e-3))
    detector = dv.AnomalyDetector(model, contamination=0.3, epochs=1).fit(X)
    assert np.isfinite(detector.anomaly_score(X)).all()


def test_several_parts_are_told_together(tmp_path):
    network = keras.Sequential([Mixing(3), keras.layers.Activation(gated)])
    with told("the class Mixing of .* and the function gated; or write"):
        model_of(network).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"{'Mixing': Mixing, 'gated': gated}$"):
        keras.saving.load_model(tmp_path / "m.keras")


def test_what_keras_knows_is_saved_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = model_of(dense(activation="silu", kernel_constraint="non_neg"))
        model.save(tmp_path / "m.keras")
        model = model_of(keras.Sequential([Mixing(3)]))
        with keras.saving.custom_object_scope({"Mixing": Mixing}):  # one who knows
            model.save(tmp_path / "m.keras")


def test_registered_classes_are_to_be_imported(tmp_path):
    mixing = type("Mixing", (Mixing,), {"__module__": "my.layers"})
    keras.saving.register_keras_serializable("mine")(mixing)
    objects = keras.saving.get_custom_objects()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model_of(keras.Sequential([mixing(3)])).save(tmp_path / "m.keras")
    finally:
        del objects["mine>Mixing"]
    match = r"the class Mixing of my\.layers; import my\.layers, or .*{'mine>Mixing': Mixing}$"
    with pytest.raises(ValueError, match=match):
        keras.saving.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize(
    "network",
    [
        lambda: keras.Sequential([keras.layers.Lambda(lambda t: t * 2)]),
        lambda: dense(activation=lambda t: t * 2),
    ],
)
def test_lambdas_are_told_apart(network, tmp_path):
    model = model_of(network())
    with told("holds a lambda, .* make it a named function with @keras"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"holds a lambda, .* its weights alone") as error:
        keras.saving.load_model(tmp_path / "m.keras")
    assert len(str(error.value)) < 300
    again = model_of(network())
    again.load_weights(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.energy(X), model.energy(X))
    with pytest.raises(TypeError, match="holds a lambda, so that the detector could not be loaded"):
        content.files_of(model)


def test_a_class_that_does_not_take_its_configuration(tmp_path):
    match = r"Closed cannot be made again .*unexpected keyword argument .*let it take \*\*kwargs"
    with told(match):
        model_of(keras.Sequential([Closed(3)])).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"DELVM cannot be loaded: .*Closed.*unexpected") as error:
        keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Closed": Closed})
    assert len(str(error.value)) < 200


class Holding(keras.layers.Layer):
    """One that makes its parts itself, which therefore need no configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.part = Closed(3)

    def build(self, input_shape):
        self.part.build(input_shape)

    def call(self, x):
        return self.part(x)


def test_parts_that_a_layer_makes_itself_need_no_configuration(tmp_path):
    model = model_of(keras.Sequential([Holding()]))
    with warnings.catch_warnings(), keras.saving.custom_object_scope({"Holding": Holding}):
        warnings.simplefilter("error", UserWarning)
        model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Holding": Holding})
    np.testing.assert_array_equal(again.energy(X), model.energy(X))


def test_an_energy_of_ones_own_without_a_configuration(tmp_path):
    class Scaled(dv.DELVM):
        def __init__(self, network, factor):
            super().__init__(network, dv.DenoisingScoreMatching())
            self.factor = factor

    model = Scaled(dense(), 2.0)
    model.adapt(X)
    with told("Scaled cannot be made again from its configuration"):
        model.save(tmp_path / "m.keras")


def test_detectors_say_the_same(tmp_path):
    model = model_of(keras.Sequential([Mixing(3)]))
    detector = dv.AnomalyDetector(model, contamination=0.3, epochs=1).fit(X)
    with told(r"mine\S* is saved, but .* the class Mixing of"):
        folder = detector.save(tmp_path / "detector")
    with pytest.raises(ValueError, match=r"detector cannot|DELVM cannot") as error:
        dv.load_detector(folder)
    assert str(error.value).endswith("load it with custom_objects={'Mixing': Mixing}")
    again = dv.load_detector(folder, custom_objects={"Mixing": Mixing})
    np.testing.assert_array_equal(again.anomaly_score(X), detector.anomaly_score(X))
    assert keras.saving.get_registered_object("Mixing") is None


def test_models_of_keras_in_a_detector_say_the_same(tmp_path):
    plain = keras.Sequential([keras.Input((4,)), Mixing(3)])
    with told("is saved, but .* the class Mixing of"):
        files = content.files_of(plain)
    with pytest.raises(ValueError, match="the model of the detector cannot be loaded, for Keras"):
        content.detector_of(files)


def test_the_command_says_it_in_a_line(tmp_path, monkeypatch, capsys):
    model = model_of(keras.Sequential([Mixing(3)]))
    detector = dv.AnomalyDetector(model, contamination=0.3, epochs=1).fit(X)
    with told("is saved, but"):
        detector.save(tmp_path / "detector")
    monkeypatch.chdir(tmp_path)
    for arguments in (["info", "detector"], ["export", "detector", "-o", "served"]):
        assert main(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert "Keras does not know the class Mixing" in line
        assert len(line) < 250


def test_unknown_parts_of_a_configuration():
    layer = keras.layers.Dense(3, activation=tf.nn.silu)  # of which Keras keeps a name of its own
    (found,) = unknown_in(keras.saving.serialize_keras_object(layer))
    assert (found.name, found.kind) == ("swish", "function")
    known = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh", name="a")])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(known)))
    assert unknown_in(config) == []
    assert unknown_in([{"class_name": "A", "config": {}}] * 2) == [("A", "class", None)]
