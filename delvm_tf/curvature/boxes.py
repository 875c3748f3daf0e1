"""Boxes of the inputs that the elements of a tensor depend on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
FAR = 2**30  # beyond every index


class Boxes(NamedTuple):
    """The part of the input that each element of one tensor of the network depends on.

    The input axes take the place of the batch axis, so that axis numbers of Keras layers hold.

    Attributes:
        lo: first index along each axis of the input, (input axes, ...); `FAR` for elements that
            depend on nothing, such as padding.
        hi: last index along each axis of the input, (input axes, ...); `-FAR` for those.
    """

    lo: Indices
    hi: Indices


def map_boxes(lower: Callable[..., Indices], *boxes: Boxes) -> Boxes:
    """Boxes whose first indices are `lower` of the given first indices.

    The last indices follow from the same function, as max(a, b) = −min(−a, −b).

    Args:
        lower: a function of arrays (input axes, ...) that moves values, or takes minima of some.
        *boxes: of the layer's inputs.

    Examples:
        >>> class Differences(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x[:, 1:] - x[:, :-1]
        >>> @dv.curvature.register_receptive_field(Differences)
        ... def differences(layer, boxes):
        ...     return dv.curvature.map_boxes(
        ...         lambda side: np.minimum(side[:, 1:], side[:, :-1]), boxes
        ...     )
        >>> network = keras.Sequential([keras.Input((9, 1)), Differences()])
        >>> dv.curvature.receptive_field(network, (9, 1))
        (2, 1)
    """
    return Boxes(lower(*(box.lo for box in boxes)), -lower(*(-box.hi for box in boxes)))


def union(boxes: Boxes, axis: int | Sequence[int]) -> Boxes:
    """Boxes where every element depends on all that those along an axis, or axes, depend on.

    Args:
        boxes: of the layer's input.
        axis: one or several, numbered as in the layer, where 0 is the batch.

    Examples:
        >>> class Centred(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x - tf.reduce_mean(x, axis=2, keepdims=True)
        >>> @dv.curvature.register_receptive_field(Centred)
        ... def centred(layer, boxes):
        ...     return dv.curvature.union(boxes, axis=2)
        >>> network = keras.Sequential([keras.Input((9, 3)), Centred()])
        >>> dv.curvature.receptive_field(network, (9, 3))
        (1, 3)
    """
    axes = axis if isinstance(axis, int) else tuple(axis)
    return map_boxes(
        lambda side: np.broadcast_to(side.min(axis=axes, keepdims=True), side.shape), boxes
    )


def everything(inputs: Sequence[Boxes], shape: tuple[int, ...]) -> Boxes:
    """The union of all boxes of all inputs, for every element of an output of this shape."""

    def lower(*sides: Indices) -> Indices:
        first = np.min([side.reshape(len(side), -1).min(axis=1) for side in sides], axis=0)
        return np.broadcast_to(first.reshape(-1, *(1 for _ in shape)), (len(first), *shape))

    return map_boxes(lower, *inputs)
