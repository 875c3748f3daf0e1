"""What is private in Keras is touched in one module, and is there as that module takes it to be."""

import ast
import functools
import inspect
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf import keras_private

ROOT = Path(__file__).parents[1]
L = keras.layers


def network():
    return keras.Sequential([keras.Input((3,)), L.Dense(4, name="a"), L.Dense(2, name="b")])


class Trained(keras_private.Model):
    """A model with a layer, metrics and a generator, which learns to give zero."""

    def __init__(self):
        super().__init__()
        self.inner = network()
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return self.inner(x)

    def train_step(self, data):
        keras_private.loss_tracker(self).update_state(3.0)
        return self.get_metrics_result()


def trained(**kwargs):
    model = Trained()
    model.build((None, 3))
    model.compile("adam", "mse", **kwargs)
    return model


# Each function against Keras itself.


def test_all_layers_are_found_at_any_depth_the_outermost_first():
    inner = network()
    outer = keras.Sequential([inner, L.Reshape((2, 1)), L.Bidirectional(L.LSTM(1))])
    found = keras_private.all_layers(outer)
    assert found[0] is outer
    assert {inner, *inner.layers, outer.layers[2], outer.layers[2].forward_layer} <= {*found}


def test_node_of_tells_layers_and_operations_apart_and_which_use_it_is():
    x = keras.Input((3,))
    layer = L.Dense(3)
    once, twice = layer(x), layer(layer(x))
    assert keras_private.node_of(once)[:2] == (layer, [x])
    assert keras_private.node_of(twice).inputs[0] is not x
    total = keras_private.node_of(x + once)
    assert not isinstance(total.operation, keras.layers.Layer)
    assert [*map(id, total.inputs)] == [id(x), id(once)]
    args, kwargs = total.arguments.fill_in({id(x): np.ones(3), id(once): np.full(3, 2.0)})
    np.testing.assert_array_equal(total.operation(*args, **kwargs), np.full(3, 3.0))
    halves = keras.ops.split(x, 3, axis=1)
    assert [keras_private.node_of(half).place for half in halves] == [0, 1, 2]
    assert len(keras_private.node_of(halves[0]).outputs) == 3


def test_takes_training_sees_what_a_call_takes():
    assert keras_private.takes_training(L.Dropout(0.5))
    assert not keras_private.takes_training(L.Flatten())
    assert not keras_private.takes_training(keras_private.node_of(keras.Input((1,)) + 1).operation)


def test_copy_mask_gives_a_value_what_layers_read():
    x = L.Masking()(tf.constant([[[1.0], [0.0]]]))
    value = tf.constant([[[5.0], [6.0]]])
    keras_private.copy_mask(x, value)
    assert L.GlobalAveragePooling1D()(value).numpy().item() == 5.0
    keras_private.copy_mask(tf.constant(1.0), value)
    assert L.GlobalAveragePooling1D()(value).numpy().item() == 5.0


def test_function_of_unwraps_metrics_and_losses():
    metric = keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error)
    assert keras_private.function_of(metric) is keras.losses.mean_squared_error
    loss = keras.losses.MeanSquaredError()
    assert keras_private.function_of(loss) is keras.losses.mean_squared_error
    assert keras_private.function_of(sum) is sum


def test_built_or_untouched_takes_a_failed_build_back():
    chain = keras.Sequential([L.Dense(2), L.BatchNormalization(), L.Reshape((7,))])
    before = [layer.built for layer in keras_private.all_layers(chain)]
    with pytest.raises(ValueError), keras_private.built_or_untouched(chain):
        chain.build((None, 3))
    assert [layer.built for layer in keras_private.all_layers(chain)] == before
    chain.pop()
    with keras_private.built_or_untouched(chain):
        chain.build((None, 5))
    assert chain(np.zeros((1, 5))).shape == (1, 2)


def test_layer_replaced_keeps_the_place_and_opens_what_is_locked():
    model = trained()
    model.last = None
    order = [layer.name for layer in model.layers]
    new = network()
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        model.another = L.Dense(1)
    with keras_private.layer_replaced(model, "inner", new):
        model.counter = keras.metrics.Sum(name="counter")
    assert model.inner is new
    assert [*model.layers] == [new]
    assert len(order) == 1
    assert model.counter in model.metrics
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        model.another = L.Dense(1)


def test_a_twin_shares_all_but_how_it_is_compiled():
    model = trained(metrics=["mae"])
    optimizer = model.optimizer
    other = keras_private.twin(model)
    keras_private.clear_metrics(other)
    other.compile("sgd")
    assert other.inner is model.inner
    assert model.optimizer is optimizer
    assert [m.name for m in keras_private.compiled_metrics(model)] == ["mae"]


def test_metrics_of_an_earlier_compile_stay_until_they_are_cleared():
    model = trained(metrics=["mae"])
    model.compile("adam", "mse")
    assert keras_private.compiled_metrics(model), "Keras clears them now: drop clear_metrics"
    keras_private.clear_metrics(model)
    assert keras_private.compiled_metrics(model) == []


def test_compiled_metrics_have_their_variables_at_once_and_are_those_of_the_step():
    model = trained(metrics=["mae"], weighted_metrics=[keras.metrics.MeanSquaredError()])
    compiled = keras_private.compiled_metrics(model)
    assert [metric.name for metric in compiled] == ["mae", "mean_squared_error"]
    assert all(metric.variables for metric in compiled)
    model.compute_metrics(None, np.zeros((2, 1)), np.full((2, 1), 3.0), None)
    assert [float(metric.result()) for metric in compiled] == [3.0, 9.0]


def test_loss_tracker_is_what_fit_reports():
    model = trained()
    assert keras_private.loss_tracker(model).name == "loss"
    assert model.fit(np.zeros((4, 3)), verbose=0).history["loss"] == [3.0]


def test_strategy_of_an_optimizer_is_where_it_was_made():
    assert keras_private.strategy_of(keras.optimizers.Adam()) is tf.distribute.get_strategy()
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        made = [
            keras.optimizers.Adam(),
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        ]
    assert [keras_private.strategy_of(each) for each in made] == [strategy, strategy]


def test_a_resumed_epoch_is_left_behind_until_it_is_forgotten(tmp_path):
    x = np.zeros((4, 3), "float32")
    model = trained()
    keep = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    model.fit(x, epochs=2, verbose=0, callbacks=[keep])
    again = trained()
    assert again.fit(x, epochs=3, verbose=0, callbacks=[keep]).epoch == [2]
    assert again.fit(x, epochs=3, verbose=0).epoch == [2], (
        "Keras forgets it now: drop forget_resumed_epoch"
    )
    keras_private.forget_resumed_epoch(again)
    assert again.fit(x, epochs=3, verbose=0).epoch == [0, 1, 2]


def test_is_validation_knows_the_calls_of_fit():
    seen = []

    class Noting(Trained):
        def evaluate(self, *args, **kwargs):
            seen.append(keras_private.is_validation(kwargs))
            return super().evaluate(*args, **kwargs)

    model = Noting()
    model.compile("adam", "mse")
    x, y = np.zeros((4, 3)), np.zeros((4, 2))
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    assert seen == [True, False]


def test_replicas_update_together_only_where_a_strategy_merges_nothing():
    assert keras_private.replicas_update_together() in (True, False)
    seen = []

    def look():
        seen.append(keras_private.replicas_update_together())

    tf.distribute.MirroredStrategy(["CPU:0"]).run(look)
    assert seen == [False]


def test_a_checkpoint_of_tensorflow_holds_lists_of_layers_and_generators(tmp_path):
    class Listed(keras_private.Checkpointed, keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [L.Dense(2)]
            self.generator = keras.random.SeedGenerator(3)
            self.parts[0].build((None, 2))

    made, other = Listed(), Listed()
    made.generator.next()
    path = tf.train.Checkpoint(made).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(other).restore(path).assert_consumed()
    np.testing.assert_array_equal(other.parts[0].kernel, made.parts[0].kernel)
    np.testing.assert_array_equal(other.generator.state, made.generator.state)


def test_keras_calls_the_hooks_of_a_model():
    calls = []

    class Hooked(Trained):
        def make_function(self, step, make):
            calls.append("make_function")
            return make(step)

        def epoch_results(self, logs):
            calls.append("epoch_results")
            return {**super().epoch_results(logs), "more": 1.0}

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = Hooked()
        model.build((None, 3))
        model.compile("adam", "mse")
    assert "more" in model.fit(np.zeros((4, 3)), verbose=0).history
    assert calls == ["make_function", "epoch_results"]


def test_keras_would_build_by_the_mean_of_replicas_data_and_here_it_does_not():
    """Which fails for integers, say, or among workers."""
    for base, fails in ((keras.Model, True), (keras_private.Model, False)):
        calls = []

        class Built(base):
            def __init__(self):
                super().__init__()
                self.inner = L.Dense(2)

            def call(self, x):
                return self.inner(x)

            def _symbolic_build(self, *args, **kwargs):
                calls.append("symbolic")  # noqa: B023
                return super()._symbolic_build(*args, **kwargs)

        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = Built()
            model.build((None, 3))
            model.compile("adam", "mse")
        model.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)
        assert bool(calls) is fails


def test_keras_writes_backups_by_the_hook(tmp_path):
    written = []

    class Noting(keras_private.BackupAndRestore):
        def write_backup(self, epoch, batch):
            written.append((epoch, batch))
            super().write_backup(epoch, batch)

    model = trained()
    model.fit(np.zeros((4, 3)), epochs=2, verbose=0, callbacks=[Noting(tmp_path / "backup")])
    assert written == [(1, 0), (2, 0)]


def test_all_of_them_are_tested():
    names = {
        name for name, part in vars(keras_private).items()
        if getattr(part, "__module__", None) == keras_private.__name__ and name != "Node"
    }  # fmt: skip
    tests = Path(__file__).read_text()
    assert [name for name in names if f"keras_private.{name}" not in tests] == []


# No other module.

# Of other packages, or of Python: `_asdict`, `_fields` and `_replace` are those of named tuples.
NOT_OF_KERAS = {
    "_asdict", "_fields", "_replace", "_getframe",
    "_retry_queue", "_get_oracle_fname",  # of KerasTuner
    "_gamma",  # of scikit-learn
}  # fmt: skip


def is_private(name):
    return (
        isinstance(name, str)
        and name.startswith("_")
        and name.strip("_") != ""
        and not name.startswith("__")
    )


@functools.cache
def names_in(source):
    """Private names that a source defines: as functions, of classes, or of `self`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return {name for name in names if is_private(name)}


@functools.cache
def own_classes():
    """The classes of this library by name, and what they are made of."""
    paths = [*modules(), ROOT / "delvm_tf" / "keras_private.py"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    return {node.name: node.bases for node in nodes if isinstance(node, ast.ClassDef)}


def of_keras(bases):
    """Private names that a class has from Keras, or from TensorFlow by way of Keras."""
    names = set()
    for base in map(ast.unparse, bases):
        *module, name = base.split(".")
        if module[:1] == ["keras"]:
            names |= of_class(functools.reduce(getattr, base.split(".")[1:], keras))
        elif module in (["L"], ["layers"]):
            names |= of_class(getattr(L, name))
        elif name in own_classes():
            names |= of_keras(own_classes()[name])
    return names


@functools.cache
def of_class(cls):
    names = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in ("keras", "tensorflow"):
            names |= {name for name in vars(base) if is_private(name)}
            names |= names_in(textwrap.dedent(inspect.getsource(base)))
    return names


def touches(path, own):
    """Uses of private parts of Keras, or of anything that is not our own, in a module."""
    tree = ast.parse(path.read_text())
    where = path.relative_to(ROOT).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = [getattr(node, "module", None) or "", *(name.name for name in node.names)]
            if any(module.startswith(("keras.src", "keras._")) for module in modules):
                yield f"{where}: imports {modules}"
        elif isinstance(node, ast.Attribute):
            if node.attr == "src" and ast.unparse(node.value) == "keras":
                yield f"{where}: keras.src"
            if node.attr == "__internal__":
                yield f"{where}: {ast.unparse(node)}"
            if is_private(node.attr) and node.attr not in own | NOT_OF_KERAS:
                yield f"{where}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "getattr", "setattr", "hasattr", "delattr", "object.__setattr__",
        ):  # fmt: skip
            for argument in node.args[1:2]:
                name = getattr(argument, "value", None)
                if is_private(name) and name not in own | NOT_OF_KERAS:
                    yield f"{where}: {ast.unparse(node)}"
        elif isinstance(node, ast.keyword) and is_private(node.arg) and node.arg not in own:
            yield f"{where}: {node.arg}="
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        inherited = of_keras(cls.bases)
        for node in ast.walk(cls):
            name = getattr(node, "attr", getattr(node, "name", None))
            name = node.id if isinstance(node, ast.Name) else name
            if is_private(name) and name in inherited:
                yield f"{where}: {cls.name} uses or overrides {name}"


def modules():
    folders = ("delvm_tf", "trainers", "tuning")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in paths if path != ROOT / "delvm_tf" / "keras_private.py"]


def own_names(paths):
    return {name for path in paths for name in names_in(path.read_text())}


def test_no_other_module_touches_what_is_private():
    paths = modules()
    own = own_names(paths)
    found = [touch for path in paths for touch in touches(path, own)]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "from keras.src import backend",
        "import keras.src.backend",
        "x = keras.src.backend",
        "x = model._flatten_layers()",
        "model._tracker.unlock()",
        "x = getattr(layer, '_call_has_training_arg', False)",
        "object.__setattr__(layer, '_called', True)",
        "vars(x).update(_compile_metrics=None)",
        "x = tf.__internal__.distribute",
        "class Mine(keras.layers.Layer):\n    def build(self, shape):\n        self._layers = 1",
        "class Mine(keras.Model):\n    def _symbolic_build(self):\n        pass",
        "class Mine(keras.callbacks.BackupAndRestore):\n    def f(self):\n        "
        "return self._current_epoch",
        "class Mine(keras.Model):\n    def f(self):\n        return super()._make_function(1)",
    ],
)
def test_a_touch_is_found(line, tmp_path, monkeypatch):
    """The search would see what it looks for."""
    own = own_names(modules())
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "touching.py"
    path.write_text(
        f"import keras\n\nmodel = layer = tf = x = None\n\n\ndef f():\n    {line}\n"
        if not line.startswith(("class", "from", "import"))
        else f"import keras\n{line}\n"
    )
    assert [*touches(path, own)]
