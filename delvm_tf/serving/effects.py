"""Refusing served graphs that do more than compute."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from delvm_tf.storage.ownership import DamagedModelError

# Operations that count as having effects and that a model needs: weights and their shapes, control
# flow, checks, and the key of random numbers, which depends on the device.
_NEEDED = {
    "VarHandleOp", "ReadVariableOp", "AssignVariableOp", "DisableCopyOnRead", "VariableShape",
    "StatefulPartitionedCall", "While", "If", "Assert", "StatelessRandomGetAlg",
    "StatelessRandomGetKeyCounter",
}  # fmt: skip
# Those of the checkpoint, which loading needs and no signature may reach.
_CHECKPOINT = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
# Operations that TensorFlow counts as free of effects, and that read files all the same.
_READING = {
    "ReadFile", "MatchingFiles", "ImmutableConst", "DecodeProtoV2", "EncodeProto",
    "LoadAndRemapMatrix", "GenerateVocabRemapping",
}  # fmt: skip


def refuse_effects(folder: Path) -> None:
    """Refuse a graph that does more than compute.

    Raises:
        DamagedModelError: if the graph cannot be read, or holds an operation with effects that a
            model needs not have.
    """
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise DamagedModelError(f"{folder / 'saved_model.pb'} cannot be read: {error}") from error
    for meta in saved.meta_graphs:
        bodies = {f.signature.name: f.node_def for f in meta.graph_def.library.function}
        served = _reachable(bodies, meta.object_graph_def.concrete_functions)
        for name, nodes in ({"": meta.graph_def.node} | bodies).items():
            allowed = _NEEDED if name in served else _NEEDED | _CHECKPOINT
            for op in {node.op for node in nodes}:
                # A function that is called like a known operation may be there to hide it.
                if op not in bodies or op_def_registry.get(op) is not None:
                    _refuse(op, allowed, folder)


def _reachable(bodies: dict[str, Any], roots: Iterable[str]) -> set[str]:
    """Functions that can be called from Python, directly or by others."""
    found: set[str] = set()
    left = [*roots]
    while left:
        name = left.pop()
        if name in bodies and name not in found:
            found.add(name)
            for node in bodies[name]:
                left.append(node.op)
                for value in node.attr.values():
                    left += [value.func.name, *(f.name for f in value.list.func)]
    return found


def _refuse(op: str, allowed: set[str], folder: Path) -> None:
    if op in allowed:
        return
    known = op_def_registry.get(op)
    if known is None or known.is_stateful or op in _READING or "Dataset" in op:
        raise DamagedModelError(
            f"the graph in {folder} holds the operation {op}, which no model needs there "
            f"and which may read or write files or run code; it is not loaded"
        )
