"""Images, one per file; labels are the numbers of their folders in alphabetical order.

| file | read as |
|---|---|
| PNG, up to 8 bits | uint8, (height, width, 1, 2, 3 or 4): grey or RGB, then alpha if there |
| PNG, 16 bits | uint16, of the same shapes |
| PNG with a palette | its colours, RGB or RGBA |
| JPEG | uint8, grey or RGB; CMYK is converted to RGB; EXIF rotation is not applied |
| BMP, 24 or 32 bits, or grey | uint8 |

Channels are never added, mixed or dropped: a grey image does not fit an RGB model.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Chunk
from delvm_tf.datasets.streams.reading import Reading

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"  # how files begin
PNG_DEPTH = 24  # the byte that holds the bits of a sample
BMP_BITS, BMP_TRUE = 28, (b"\x18\x00", b"\x20\x00")  # bits of a pixel without a palette
BMP_GREY = 54, b"".join(bytes([k, k, k, 0]) for k in range(256))  # where a palette of grey stands
HEAD = 54 + 4 * 256  # bytes that hold all this
_ANIMATION = b"acTL"  # the chunk of animated PNG, before the first IDAT


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The one image as (1, height, width, channels); `stream` fills in its label.

    Raises:
        ContentsError: for animations, BMP with a palette of colours, and other formats.
    """
    encoded = path.read_bytes()
    if not encoded.startswith((PNG, JPEG, BMP)):
        raise ContentsError(f"{path} does not contain PNG, JPEG or BMP; convert it or leave it out")
    if encoded.startswith(PNG) and _ANIMATION in encoded[: encoded.find(b"IDAT")]:
        raise ContentsError(f"{path} is an animation; save its frames as images")
    true_colour = encoded[BMP_BITS : BMP_BITS + 2] in BMP_TRUE
    start, grey = BMP_GREY
    if encoded.startswith(BMP) and not true_colour and not encoded.startswith(grey, start):
        raise ContentsError(f"{path} is a BMP with a palette of colours; save it as PNG")
    deep = encoded.startswith(PNG) and encoded[PNG_DEPTH : PNG_DEPTH + 1] == b"\x10"
    with tf.device("CPU"):
        image = tf.io.decode_image(
            encoded, dtype=tf.uint16 if deep else tf.uint8, expand_animations=False
        ).numpy()
    yield Chunk(image[None], np.zeros(1, "int64"))


def in_units(x: np.ndarray, white: float) -> np.ndarray:
    """Images, uint8 or uint16, in the units of a model in which white pixels are `white`.

    Raises:
        ContentsError: for 16 bits if white is 255, that is for a model of 8 bits.
    """
    if x.dtype == np.uint16 and 1 < white <= 255:
        raise ContentsError(
            f"the image has 16 bits, but white is {white:g} in the units of the model, which has "
            f"8 bits; convert the image, or export the model with white=65535"
        )
    full = np.iinfo(x.dtype).max
    return x.astype("float32") * np.float32(white / full)


def folder_numbers(files: list[Path]) -> dict[Path, int]:
    """Number of each folder that holds files, in alphabetical order."""
    return {folder: k for k, folder in enumerate(sorted({file.parent for file in files}))}
