"""Pictures of the filters of a first layer."""

import math
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure


def plot_filters(kernel: Any, image_shape: tuple[int, ...] | None = None, limit: int = 100) -> Any:
    """A mosaic of filters, each scaled by its largest weight; zero is mid-grey.

    Args:
        kernel: weights of a convolution (height, width, channels, filters), or of a dense layer
            (values, units) together with `image_shape`.
        image_shape: (height, width, channels) of the images that a dense layer sees.
        limit: shows this many filters at most.

    Returns:
        A matplotlib figure, in colour for three channels, grey for one.

    Raises:
        ValueError: for other shapes, weights that are not finite, or a limit below one.

    Examples:
        >>> network = dv.networks.cnn((32,), 5, input_shape=(8, 8, 1))
        >>> figure = dv.plots.plot_filters(network.layers[0].kernel)
        >>> figure.savefig("filters.png")
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim == 2 and image_shape is not None and kernel.shape[0] == math.prod(image_shape):
        kernel = kernel.reshape(*image_shape, -1)
    if kernel.ndim != 4 or kernel.shape[2] not in (1, 3) or kernel.size == 0:
        raise ValueError(
            f"expected filters (height, width, 1 or 3, filters), or (values, units) with their "
            f"image_shape; got {kernel.shape} and {image_shape}"
        )
    if not np.isfinite(kernel).all():
        raise ValueError("some weights are NaN or infinite; the training has diverged")
    if limit < 1:
        raise ValueError(f"limit must be positive, got {limit!r}")
    filters = np.moveaxis(kernel, 3, 0)[:limit]
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    shown = np.clip(0.5 + 0.5 * filters / np.where(largest > 0, largest, 1.0), 0, 1)
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    figure, axes = new_figure(0.6 * columns, 0.6 * rows, rows, columns)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, picture in zip(axes.flat, shown, strict=False):
        ax.imshow(np.squeeze(picture, axis=2) if picture.shape[2] == 1 else picture,
                  cmap="gray", vmin=0, vmax=1)  # fmt: skip
    return figure
