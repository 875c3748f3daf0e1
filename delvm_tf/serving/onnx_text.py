"""Text in ONNX graphs, which compute with numbers: tables of values and codes at both ends."""

from collections.abc import Iterator
from typing import Any

from delvm_tf.schema import Category

DOMAIN = "ai.onnx.ml"


def add_text(proto: Any, columns: dict[str, Category]) -> None:
    """Make text of inputs and outputs of a graph that are codes, int64; see `Category.texts`.

    Args:
        proto: the ONNX model.
        columns: of such inputs and outputs, by their names.
    """
    from onnx import TensorProto, helper

    graph = proto.graph
    inputs = {v.name: columns[v.name] for v in graph.input if v.name in columns}
    outputs = {v.name: columns[v.name] for v in graph.output if v.name in columns}
    if not inputs and not outputs:
        return
    before, after = [], []
    for name, column in inputs.items():
        texts, code = column.texts, f"{name}/code"
        _rename(graph, name, code, read=True)
        # The name of all others is no value: a cell with that text is one of the others.
        keys = [*texts[:-2], texts[-1]]
        before.append(helper.make_node(
            "LabelEncoder", [name], [code], domain=DOMAIN, keys_strings=keys,
            values_int64s=[*range(len(texts) - 2), len(texts) - 1], default_int64=len(texts) - 2,
        ))  # fmt: skip
    for name, column in outputs.items():
        code = f"{name}/code"
        _rename(graph, name, code, read=True)
        _rename(graph, name, code, read=False)
        after.append(helper.make_node(
            "LabelEncoder", [code], [name], domain=DOMAIN,
            keys_int64s=[*range(len(column.texts))], values_strings=[*column.texts],
            default_string="",
        ))  # fmt: skip
    for value in (*graph.input, *graph.output):
        if value.name in inputs or value.name in outputs:
            value.type.tensor_type.elem_type = TensorProto.STRING
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    proto.opset_import.append(helper.make_opsetid(DOMAIN, 2))


def nodes_of(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies of its loops and branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_of(attribute.g)


def _rename(graph: Any, old: str, new: str, read: bool) -> None:
    """Rename a value where nodes read it, or where they write it."""
    for node in nodes_of(graph):
        names = node.input if read else node.output
        for k, name in enumerate(names):
            if name == old:
                names[k] = new
