"""Hidden features for TensorBoard's embedding projector."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.storage.ownership import made_folder, refuse_foreign_file, whole, write_text

SPRITE = 24  # side of a picture in the sprite, pixels
CONFIG = "projector_config.pbtxt"
FEATURES, LABELS, SPRITES = "features.tsv", "labels.tsv", "sprite.png"
_NAME = '  tensor_name: "hidden features"'


def write_projector(folder: Path, features: np.ndarray, labels: Any, images: Any = None) -> None:
    """Write what the projector reads: features, labels, pictures and its configuration.

    Args:
        folder: of the log; files that this function wrote are replaced.
        features: (n, d).
        labels: (n,).
        images: (n, height, width, 1 or 3) to show in place of points, or None.

    Raises:
        ValueError: if the numbers of rows differ.
        FileExistsError: if there are other files of these names.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    features = features.reshape(len(features), -1)
    if len(labels) != len(features):
        raise ValueError(f"{len(features)} features, but {len(labels)} labels")
    with made_folder(folder):
        refuse_foreign_files(folder)
        with_images = np.ndim(images) == 4 and np.shape(images)[-1] in (1, 3)
        lines = [
            'embeddings {', _NAME, f'  tensor_path: "{FEATURES}"', f'  metadata_path: "{LABELS}"',
        ]  # fmt: skip
        if with_images:
            lines += [
                '  sprite {', f'    image_path: "{SPRITES}"',
                f'    single_image_dim: {SPRITE}', f'    single_image_dim: {SPRITE}', '  }',
            ]  # fmt: skip
        # First the file that tells whose the others are.
        write_text(folder / CONFIG, "\n".join([*lines, "}"]) + "\n")
        if with_images:
            with whole(folder / SPRITES) as partial:
                partial.write_bytes(sprite(np.asarray(images)))
        write_text(folder / LABELS, "\n".join(map(str, labels)) + "\n")
        with whole(folder / FEATURES) as partial:
            np.savetxt(partial, features, fmt="%.6g", delimiter="\t")


def refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder that has files of the projector's names, unless it has our configuration too.

    Raises:
        FileExistsError: which file.
    """
    config = folder / CONFIG
    ours = config.is_file() and _NAME in config.read_text(errors="replace")
    for name in (CONFIG, FEATURES, LABELS, SPRITES):
        refuse_foreign_file(folder / name, ours)


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
