"""Runs signatures with TensorFlow alone: `tf.saved_model.load`, and the loader of servers.

A program of its own, which can import neither this library nor Keras. Its argument is a list of
jobs, JSON: way, folder, signature, .npz of inputs, .npz to write.
"""

import functools
import json
import sys
from typing import Any

sys.modules |= {"delvm_tf": None, "keras": None}  # an import of them fails

import numpy as np
import tensorflow as tf


@functools.lru_cache(2)  # of a detector, and with another threshold
def loaded(folder: str) -> Any:
    """By `tf.saved_model.load`."""
    return tf.saved_model.load(folder)


@functools.lru_cache(2)
def opened(folder: str) -> Any:
    """By the graph loader that TensorFlow Serving is built on: a session and what it can run."""
    running = tf.compat.v1.Session(graph=tf.Graph())
    return running, tf.compat.v1.saved_model.load(running, ["serve"], folder)


def eager(folder: str, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The answer of a function."""
    function = loaded(folder).signatures[signature]
    found = function(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


def session(folder: str, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The answer of a session."""
    running, meta = opened(folder)
    known = meta.signature_def[signature]
    feed = {known.inputs[name].name: value for name, value in inputs.items()}
    return running.run({name: t.name for name, t in known.outputs.items()}, feed)


for way, folder, signature, given, wanted in json.loads(sys.argv[1]):
    with np.load(given) as arrays:
        inputs = {
            name: value.astype(object) if value.dtype.kind == "U" else value
            for name, value in arrays.items()
        }
    found = {"eager": eager, "session": session}[way](folder, signature, inputs)
    texts = {n: np.char.decode(v.astype("S")) for n, v in found.items() if v.dtype == object}
    np.savez(wanted, **{**found, **texts})
