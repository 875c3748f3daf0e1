"""All that this library uses of the private parts of Keras, each with its reason.

No other module touches them, and `tests/keras_private_test.py` fails by name where Keras changes
one. Whatever Keras makes public leaves this module.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

# Layers and the graph that they form.


def all_layers(layer: Any) -> list[Any]:
    """A layer and all within it, at any depth; `Model.layers` has those of the first level only."""
    return list(layer._flatten_layers())


class Node(NamedTuple):
    """Where a symbolic tensor comes from.

    Attributes:
        operation: the layer or operation that made it.
        inputs: the symbolic tensors it was made of.
        outputs: all that the operation made.
        place: of the tensor among them.
        arguments: of the operation; `args`, `kwargs` and `fill_in`, which puts values in place of
            tensors, by the identity of these.
    """

    operation: Any
    inputs: list[Any]
    outputs: list[Any]
    place: int
    arguments: Any


def node_of(tensor: Any) -> Node:
    """The node of a symbolic tensor: `layer.output` is ambiguous for layers that are used twice."""
    operation, index, place = tensor._keras_history
    node = operation._inbound_nodes[index]
    return Node(operation, node.input_tensors, node.outputs, place, node.arguments)


def takes_training(operation: Any) -> bool:
    """Whether a layer's call takes `training`, also where that is hidden behind `**kwargs`."""
    return getattr(operation, "_call_has_training_arg", False)


def copy_mask(source: tf.Tensor, target: tf.Tensor) -> None:
    """Give a value the mask of another, which Keras hangs on the tensor itself."""
    mask = getattr(source, "_keras_mask", None)
    if mask is not None:
        target._keras_mask = mask


def function_of(metric: Any) -> Any:
    """The function that a metric or loss wraps; anything else as it is."""
    return getattr(metric, "_fn", getattr(metric, "fn", metric))


# Changing what is built.


@contextmanager
def built_or_untouched(model: Any) -> Iterator[None]:
    """While a model is built: if that fails, its layers are again as unbuilt as they were.

    Of a Sequential network that cannot take some inputs Keras keeps the shape of these, and the
    layers up to the one that failed; other inputs would be refused from then on.
    """
    unbuilt = [layer for layer in all_layers(model) if not layer.built]
    chains = {
        layer: list(layer._layers) for layer in unbuilt if isinstance(layer, keras.Sequential)
    }
    try:
        yield
    except BaseException:  # an interruption leaves it half done too
        for layer in unbuilt:
            if layer in chains:
                layer._layers, layer._functional = chains[layer], None
            if isinstance(layer, keras.Model):
                layer.built = False
            elif layer.built:
                fresh = type(layer).from_config(layer.get_config())
                # Not as Keras sets attributes, which would keep a copy.
                object.__setattr__(layer, "__dict__", fresh.__dict__)
        raise


@contextmanager
def layer_replaced(model: Any, name: str, new: Any) -> Iterator[None]:
    """Give an attribute another layer, in the place of the old one among the model's layers.

    Checkpoints and lists of weights go by that order. A model that is built takes neither layers
    nor metrics; inside of the context it does.
    """
    tracker = model._tracker
    locked = tracker.locked
    tracker.unlock()
    try:
        tracker.replace_tracked_value("layers", getattr(model, name), new)
        setattr(model, name, new)
        yield
    finally:
        if locked:
            tracker.lock()


def twin(model: Any) -> Any:
    """The same model, sharing layers and all state, that can be compiled without the other."""
    made = object.__new__(type(model))
    vars(made).update(vars(model))
    return made


# Compiling and fitting.


def clear_metrics(model: Any) -> None:
    """Forget the metrics of an earlier compile, which Keras keeps where a later one has none."""
    model._compile_metrics = None


def compiled_metrics(model: Any) -> list[keras.metrics.Metric]:
    """The metrics given to `compile`, with their variables.

    Keras makes them in the first step, which is too late under a strategy.
    """
    if model._compile_metrics is None:
        return []
    if not model._compile_metrics.built:
        model._compile_metrics.build(tf.zeros((1, 1)), tf.zeros((1, 1)))
    return model._compile_metrics.metrics


def loss_tracker(model: Any) -> keras.metrics.Mean:
    """The mean that a model reports as `loss`, which Keras updates in its own step only."""
    return model._loss_tracker


def strategy_of(optimizer: Any) -> tf.distribute.Strategy:
    """The strategy that an optimizer was made under, the only one that it works with."""
    return optimizer._distribution_strategy


def forget_resumed_epoch(model: Any) -> None:
    """Undo what `BackupAndRestore` leaves behind, so that the next fit would skip epochs."""
    model._initial_epoch = None


def is_validation(arguments: dict[str, Any]) -> bool:
    """Whether `evaluate` was called by `fit`, which has its data already."""
    return arguments.get("_use_cached_eval_dataset", False)


def replicas_update_together() -> bool:
    """Whether a replica may open a condition around updates, as TensorFlow's strategies know."""
    return tf.__internal__.distribute.strategy_supports_no_merge_call()


# Methods to override, under names of their own.


class Checkpointed:
    """A Keras layer or model whose whole state a `tf.train.Checkpoint` saves and restores.

    By itself TensorFlow does not see the layers in Keras's lists, nor random generators: a
    checkpoint is written without them, and no error tells.
    """

    _layers: list[Any]
    _seed_generators: list[Any]

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        beside: Any = super()  # the Keras class next to this one
        children = beside._trackable_children(save_type, **kwargs)
        if save_type != "checkpoint":
            return children
        layers = {f"layer-{n}": layer for n, layer in enumerate(self._layers)}
        generators = {
            f"seed-{n}": generator.state.value for n, generator in enumerate(self._seed_generators)
        }
        return {**children, **layers, **generators}


class Model(Checkpointed, keras.Model):
    """A `keras.Model` that is built before it is trained, and may say what a step returns.

    Under a strategy Keras builds weights and metrics by the mean of the replicas' data, which fails
    among workers and gives metrics the output in place of its error. Here that is left out.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        pass

    def make_function(self, step: Callable[[Any], Any], make: Callable[[Any], Any]) -> Any:
        """What `fit` and `evaluate` call: a step made into a function of an iterator by Keras."""
        return make(step)

    def _make_function(self, step_function: Callable[[Any], Any]) -> Any:
        return self.make_function(step_function, super()._make_function)

    def epoch_results(self, logs: dict[str, Any]) -> dict[str, Any]:
        """What an epoch reports, given what its last step did."""
        return super()._get_metrics_result_or_logs(logs)

    def _get_metrics_result_or_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        return self.epoch_results(logs)


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """`keras.callbacks.BackupAndRestore` that writes by a public method."""

    def write_backup(self, epoch: int, batch: int) -> None:
        """Save the weights and which epoch and batch comes next."""
        super()._save_model()

    def _save_model(self) -> None:
        self.write_backup(self._current_epoch, self._last_batch_seen)
