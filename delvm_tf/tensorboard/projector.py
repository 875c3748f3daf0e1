"""Hidden features for TensorBoard's embedding projector."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

SPRITE = 24  # side of a picture in the sprite, pixels


def write_projector(folder: Path, features: np.ndarray, labels: Any, images: Any = None) -> None:
    """Write what the projector reads: features, labels, pictures and its configuration.

    Args:
        folder: of the log; files of the same names are replaced.
        features: (n, d).
        labels: (n,).
        images: (n, height, width, 1 or 3) to show in place of points, or None.

    Raises:
        ValueError: if the numbers of rows differ.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    features = features.reshape(len(features), -1)
    if len(labels) != len(features):
        raise ValueError(f"{len(features)} features, but {len(labels)} labels")
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "features.tsv", features, fmt="%.6g", delimiter="\t")
    (folder / "labels.tsv").write_text("\n".join(map(str, labels)) + "\n")
    lines = [
        'embeddings {', '  tensor_name: "hidden features"', '  tensor_path: "features.tsv"',
        '  metadata_path: "labels.tsv"',
    ]  # fmt: skip
    if images is not None and np.ndim(images) == 4 and np.shape(images)[-1] in (1, 3):
        (folder / "sprite.png").write_bytes(sprite(np.asarray(images)))
        lines += [
            '  sprite {', '    image_path: "sprite.png"',
            f'    single_image_dim: {SPRITE}', f'    single_image_dim: {SPRITE}', '  }',
        ]  # fmt: skip
    written = folder / "projector_config.pbtxt"
    partial = written.with_suffix(".partial")
    partial.write_text("\n".join([*lines, "}"]) + "\n")
    os.replace(partial, written)


def sprite(images: np.ndarray) -> bytes:
    """All images in one square PNG, row by row."""
    small = tf.image.resize(tf.cast(images, tf.float32), (SPRITE, SPRITE)).numpy()
    low, high = small.min(), small.max()
    small = (255 * (small - low) / (high - low if high > low else 1)).astype(np.uint8)
    side = math.ceil(math.sqrt(len(small)))
    sheet = np.zeros((side * side, *small.shape[1:]), np.uint8)
    sheet[: len(small)] = small
    sheet = sheet.reshape(side, side, SPRITE, SPRITE, -1).swapaxes(1, 2)
    return tf.io.encode_png(sheet.reshape(side * SPRITE, side * SPRITE, -1)).numpy()
