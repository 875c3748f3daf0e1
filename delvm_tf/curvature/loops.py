"""Loops in a function, which TensorFlow cannot differentiate as often as a trace needs.

The gradient in the weights of a trace is a third derivative at least. TensorFlow writes each
derivative of a loop as another loop that keeps all steps of those before, so that time and memory
grow without bound in practice, and from the third on its functions can be taken for one another.
The first two, as in denoising score matching, are right and cheap.
"""

from typing import Any

import tensorflow as tf

from delvm_tf.curvature.differentiability import graph_nodes

_LOOPS = {"While", "StatelessWhile"}
_FUSED = {"CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}  # can be differentiated once


def find_loop(function: Any, input_shape: tuple[int, ...], dtype: Any) -> str | None:
    """The name of a loop that a function runs, or None. Cost: tracing it once.

    Args:
        function: of a batch.
        input_shape: the shape of one input.
        dtype: the type of the inputs.
    """
    for node in graph_nodes(function, [tf.TensorSpec((None, *input_shape), dtype)]):
        if node.op in _LOOPS | _FUSED:
            return node.name
    return None


def require_no_loop(what: str, function: Any, input_shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse second derivatives of a function that runs a loop.

    Args:
        what: that needs the derivatives, for the message.
        function: of a batch.
        input_shape: the shape of one input.
        dtype: the type of the inputs.

    Raises:
        ValueError: if it does; the message names the loop and what to use instead.
    """
    loop = find_loop(function, input_shape, dtype)
    if loop is not None:
        raise ValueError(
            f"{what} needs second derivatives of the energy, which contains a loop, {loop}, as "
            f"recurrent layers do; TensorFlow cannot differentiate loops that often. Use "
            f"objective=dv.DenoisingScoreMatching() or dv.ContrastiveDivergence(), or for short "
            f"sequences make the recurrent layers with unroll=True"
        )
