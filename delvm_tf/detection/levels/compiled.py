"""Methods of rows that are compiled once for each object."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Compiled:
    """A method of rows, (batch, ...), as a compiled function of any number of them.

    A `tf.function` alone would warn of tracing when several objects of the class are called.

    Args:
        method: of an object and its rows.
    """

    def __init__(self, method: Callable[[Any, Any], Any]):
        self._traced = tf.function(method, autograph=False)

    def __get__(self, owner: Any, kind: Any = None) -> Callable[[Any], Any]:
        return functools.partial(self._call, self._traced.__get__(owner, kind))

    @staticmethod
    def _call(traced: Any, x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        return traced.get_concrete_function(tf.TensorSpec((None, *x.shape[1:]), x.dtype))(x)
