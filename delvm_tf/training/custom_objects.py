"""Classes and functions of users in Keras models, found before Keras cannot load them.

Keras writes a class or function down by its name, whether it knows it or not, and looks for that
name among what is registered when it loads the file.
"""

import inspect
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras

from delvm_tf.inputs.notices import warn
from delvm_tf.keras_private import all_layers

REGISTER = "@keras.saving.register_keras_serializable()"
LAMBDA = "a lambda, which Keras does not load, for it could run any code"
_LIBRARIES = ("keras", "delvm_tf")
_CAUSE = "Exception encountered: "  # after which Keras says what went wrong, below a page


class Unknown(NamedTuple):
    """A part of a model that Keras cannot load by itself.

    Attributes:
        name: under which Keras looks for it; "" of a lambda, which has none.
        kind: `class`, `function` or `lambda`.
        module: where the class is defined, as far as the configuration says.
    """

    name: str
    kind: str
    module: str | None = None

    @property
    def title(self) -> str:
        """What it is called without the package that it is registered in."""
        return self.name.rpartition(">")[2]


def unknown_in(config: Any) -> list[Unknown]:
    """What a configuration names and Keras does not find, each once; and lambdas."""
    found = [unknown for node in _nodes(config) if (unknown := _unknown(node))]
    return list(dict.fromkeys(found))


def lambdas_in(model: keras.Model) -> bool:
    """Whether a model has functions without a name."""
    return any(each.kind == "lambda" for each in unknown_in(_configuration(model)))


def warn_of_unknown(model: keras.Model) -> None:
    """Warn that what is about to be saved cannot be loaded by itself, and say what to do."""
    config = _configuration(model)
    unknown = unknown_in(config)
    named = [each for each in unknown if each.kind != "lambda"]
    if named:
        warn(
            f"{model.name} is saved, but can be loaded only with custom_objects={_given(named)}, "
            f"for Keras does not know {_listed(named)}; or write {REGISTER} above "
            f"{'each' if len(named) > 1 else 'it'}, and save again"
        )
    if len(named) < len(unknown):
        warn(
            f"{model.name} is saved, but holds {LAMBDA}; make it a named function with {REGISTER} "
            f"above it, and save again"
        )
    written = {node["class_name"] for node in _nodes(config)}  # not what layers make themselves
    for layer in {type(each): each for each in all_layers(model)}.values():
        if type(layer).__name__ in written and (refused := _refused(layer)):
            warn(
                f"{model.name} is saved, but {type(layer).__name__} cannot be made again from its "
                f"configuration, for its __init__ does not fit ({refused}); let it take **kwargs, "
                f"give them to super().__init__, and return all other arguments in get_config"
            )


def loading_error(config: Any, what: str, error: Exception) -> ValueError | None:
    """What to tell in place of a page of Keras; None if that is not one.

    It is a ValueError, because Keras adds pages of its own to a TypeError.

    Args:
        config: that failed.
        what: is loaded.
        error: of Keras.
    """
    unknown = unknown_in(config)
    named = [each for each in unknown if each.kind != "lambda"]
    if named:
        modules = sorted({each.module for each in named if each.module and ">" in each.name})
        first = f"import {' and '.join(modules)}, or " if modules else ""
        return ValueError(
            f"{what} cannot be loaded, for Keras does not know {_listed(named)}; {first}load it "
            f"with custom_objects={_given(named)}"
        )
    if unknown:
        return ValueError(
            f"{what} cannot be loaded: it holds {LAMBDA}; save it with a named function with "
            f"{REGISTER} above it, or load its weights alone into a model made anew, load_weights"
        )
    _, found, cause = str(error).rpartition(_CAUSE)
    return ValueError(f"{what} cannot be loaded: {cause}") if found else None


def _configuration(model: keras.Model) -> Any:
    """What Keras writes of a model, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return keras.saving.serialize_keras_object(model)


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """All objects in a configuration."""
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        elif config.keys() == {"value"} and _is_code(config["value"]):
            yield {"class_name": "__lambda__", "config": config}
        for value in config.values():
            yield from _nodes(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _nodes(value)


def _is_code(value: Any) -> bool:
    """Whether this is a lambda as Keras writes one that is an activation: code and two more."""
    return isinstance(value, list | tuple) and len(value) == 3 and isinstance(value[0], str)


def _unknown(node: dict[str, Any]) -> Unknown | None:
    name, module = node["class_name"], node.get("module")
    if name == "__lambda__":
        return Unknown("", "lambda")
    if name.startswith("__"):  # tensors, bytes and the like
        return None
    if name == "function":
        try:
            keras.saving.deserialize_keras_object(node)
        except (TypeError, ValueError):
            return Unknown(str(node["config"]), "function")
        return None
    registered = node.get("registered_name") or name
    if str(module).partition(".")[0] == "keras":
        return None
    if keras.saving.get_registered_object(registered) is not None:
        return None
    return Unknown(registered, "class", module)


def _refused(layer: Any) -> str | None:
    """Why a layer's class does not take its own configuration; None if it does."""
    cls = type(layer)
    own = {each.__module__.partition(".")[0] for each in (cls, cls.from_config.__func__)}
    if cls.__module__.partition(".")[0] in _LIBRARIES or len(own) < 2:
        return None  # it is not of a user, or says itself how it is made
    config = layer.get_config()
    if "layers" in config:  # of a Sequential or functional model
        return None
    try:
        inspect.signature(cls.__init__).bind(layer, **config)
    except TypeError as error:
        return str(error)
    return None


def _listed(unknown: Sequence[Unknown]) -> str:
    texts = [
        f"the {each.kind} {each.title}" + (f" of {each.module}" if each.module else "")
        for each in unknown
    ]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _given(unknown: Sequence[Unknown]) -> str:
    """Names and objects, as Python has them."""
    return "{" + ", ".join(f"{each.name!r}: {each.title}" for each in unknown) + "}"
