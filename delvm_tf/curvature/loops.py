"""Loops, which TensorFlow cannot differentiate as often as a trace needs.

The gradient of a trace in the weights is at least a third derivative. TensorFlow makes each
derivative of a loop another loop that keeps all steps of the ones before, so that time and memory
explode, and from the third on it can mistake one loop's function for another's. The first two, as
in denoising score matching, are right and cheap.
"""

from typing import Any

import tensorflow as tf

from delvm_tf.curvature.differentiability import graph_nodes

_LOOPS = {"While", "StatelessWhile"}
_FUSED = {"CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}  # can be differentiated once


def find_loop(function: Any, input_shape: tuple[int, ...], dtype: Any) -> str | None:
    """The name of a loop that a function of batches runs, or None. Cost: tracing it once."""
    for node in graph_nodes(function, [tf.TensorSpec((None, *input_shape), dtype)]):
        if node.op in _LOOPS | _FUSED:
            return node.name
    return None


def require_no_loop(what: str, function: Any, input_shape: tuple[int, ...], dtype: Any) -> None:
    """Raise ValueError if `function` runs a loop; `what` needs its second derivatives."""
    loop = find_loop(function, input_shape, dtype)
    if loop is not None:
        raise ValueError(
            f"{what} needs second derivatives of the energy, which contains a loop, {loop}, as "
            f"recurrent layers do; TensorFlow cannot differentiate loops that often. Use "
            f"objective=dv.DenoisingScoreMatching() or dv.ContrastiveDivergence(), or for short "
            f"sequences make the recurrent layers with unroll=True"
        )
