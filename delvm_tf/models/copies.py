"""Copies of a model: as it is, and as it was before training."""

import copy
from itertools import chain
from types import FunctionType
from typing import Any

import keras

from delvm_tf.keras_private import all_layers

# What Keras keeps in a configuration to build a layer at once, for inputs of a known shape.
_ONCE_BUILT = "build_input_shape"  # of a Sequential, which then begins with an InputLayer
_BUILT = ("build_config", _ONCE_BUILT)


def full_copy(model: Any) -> Any:
    """A model of its own with the same weights and the same state of the optimizer."""
    if not isinstance(model, keras.Model):
        return copy.deepcopy(model)
    with keras.saving.CustomObjectScope(_own_objects(model)), model.distribute_strategy.scope():
        return copy.deepcopy(model)


def untrained_copy(model: Any) -> Any:
    """A model of the same settings that has seen no data; the given one is not touched.

    A Keras model is made again from its configuration and that of its optimizer: weights are drawn
    anew by the initialisers, the same ones where these have seeds, and neither statistics of the
    inputs nor the optimizer's moments stay. It is not built, unless its network is a functional
    one, so that it may be trained on inputs of another width. Of a scikit-learn estimator it is
    `clone`; anything else is copied as it is.

    Raises:
        ValueError: if layers are frozen, for new weights would never be trained.
    """
    if isinstance(model, keras.Model):
        return _from_configuration(model)
    if hasattr(model, "get_params"):
        from sklearn.base import clone

        return clone(model)
    return copy.deepcopy(model)


def _from_configuration(model: Any) -> Any:
    frozen = [layer.name for layer in all_layers(model) if not layer.trainable and layer.weights]
    if frozen:
        raise ValueError(
            f"the layers {', '.join(frozen[:5])} are frozen, and starting anew would fill them "
            f"with random weights that are never trained; go on from the weights they have "
            f"(warm_start=True), or set trainable=True"
        )
    with keras.saving.CustomObjectScope(_own_objects(model)), model.distribute_strategy.scope():
        fresh = type(model).from_config(_unbuilt(model.get_config()))
        compiled = model.get_compile_config() if model.compiled else None
        if compiled is not None:
            fresh.compile_from_config(compiled)
    if hasattr(fresh, "normalization"):
        fresh.normalization.feature_names = None
    return fresh


def _own_objects(model: Any) -> dict[str, Any]:
    """Classes and functions in a model that are not registered with Keras, by name.

    They are those of layers, objective, optimizer and metrics, and of what these hold themselves,
    such as activations, initialisers and schedules.
    """
    found: dict[str, Any] = {}
    for part in (*all_layers(model), getattr(model, "optimizer", None), *model.metrics):
        held = [part, *getattr(part, "__dict__", {}).values()]
        for each in chain(held, *(value for value in held if isinstance(value, list | tuple))):
            own = each if isinstance(each, FunctionType) else type(each)
            known = str(own.__module__).partition(".")[0] in ("keras", "builtins")
            if not known and (own is each or hasattr(own, "from_config")):
                found.setdefault(own.__name__, own)
    return found


def _unbuilt(config: Any) -> Any:
    """A configuration without the shapes for which its layers were built."""
    if isinstance(config, dict):
        layers = config.get("layers")
        if _ONCE_BUILT in config and layers and layers[0].get("class_name") == "InputLayer":
            config = {**config, "layers": layers[1:]}
        return {key: _unbuilt(value) for key, value in config.items() if key not in _BUILT}
    if isinstance(config, list | tuple):
        return type(config)(_unbuilt(value) for value in config)
    return config
