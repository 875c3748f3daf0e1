"""Images, one per file; labels are the numbers of their folders in alphabetical order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.streams.chunk import Chunk

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def chunks(path: Path, labels: bool) -> Iterator[Chunk]:
    """The one image as (1, height, width, channels) uint8; its label is filled in by `stream`."""
    with tf.device("CPU"):
        image = tf.io.decode_image(path.read_bytes(), expand_animations=False).numpy()
    yield Chunk(image[None], np.zeros(1, "int64"))


def folder_numbers(files: list[Path]) -> dict[Path, int]:
    """Number of each folder that holds files, in alphabetical order."""
    return {folder: k for k, folder in enumerate(sorted({file.parent for file in files}))}
