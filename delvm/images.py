"""The images that `delvm fit` is given: their pixels, labels and places."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions, images
from delvm_tf.datasets.streams.reading import Reading
from delvm_tf.datasets.streams.stream import check_options, files_of
from delvm_tf.detection.images.areas import shrunk
from delvm_tf.detection.images.image_detector import LEAST_SIDE
from delvm_tf.serving import ServedModel

FOLDER = "folder"  # the label of images: the name of the folder that a file is in
MOST_VALUES = 2_000_000_000  # in memory at a time
COMPARED = 32  # longest side of the images that simple methods get
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")


class Images(NamedTuple):
    """Images of one size, in memory.

    Attributes:
        files: one for each image.
        x: (n, height, width, channels), uint8 or uint16.
        abnormal: which are, (n,) bool; None without labels.
        label: `FOLDER`, or None.
        pattern: that the files fit.
    """

    files: list[Path]
    x: np.ndarray
    abnormal: np.ndarray | None
    label: str | None
    pattern: str

    @property
    def white(self) -> float:
        """The value of a white pixel."""
        return float(np.iinfo(self.x.dtype).max)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.x)

    def summary(self) -> dict[str, Any]:
        """What was understood, as JSON."""
        abnormal = 0 if self.abnormal is None else int(self.abnormal.sum())
        return {
            "files": [self.pattern], "rows": self.rows, "columns": [],
            "image": [*self.x.shape[1:]], "left_out": [], "label": self.label,
            "normal": self.rows - abnormal, "abnormal": abnormal, "reading": {},
        }  # fmt: skip

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """Some images as rows of numbers, shrunk to sides of 32 at most, (k, d) float32."""
        sides = self.x.shape[1:3]
        share = min(1.0, COMPARED / max(sides))
        small = max(1, round(share * sides[0])), max(1, round(share * sides[1]))
        parts = [
            shrunk(tf.cast(self.x[rows[k : k + 256]], tf.float32), small).numpy()
            for k in range(0, len(rows), 256)
        ]
        return np.concatenate(parts).reshape(len(rows), -1)

    def told(self, served: ServedModel, rows: np.ndarray, count: int) -> list[list[dict[str, Any]]]:
        """The ninths of each image that raise its score most: name, mean value, contribution."""
        found = []
        for image in self.x[rows].astype(np.float32):
            parts = served.predict(image[np.newaxis], "explain")
            by_part = _ninths(parts["contributions"][0].sum(axis=-1), np.sum)
            values = _ninths(image.mean(axis=-1), np.mean)
            order = sorted(by_part, key=lambda name: -by_part[name])[:count]
            found.append([
                {"column": k, "value": f"{values[k]:.4g}", "contribution": float(by_part[k])}
                for k in order if by_part[k] > 0
            ])  # fmt: skip
        return found


def are_images(pattern: str) -> bool:
    """Whether a pattern or folder is of files of images."""
    return files_of(pattern)[1] is images.chunks


def read_images(
    pattern: str, options: TableOptions, kinds: Collection[Any], normal: Collection[str]
) -> Images:
    """All images that fit a pattern or are below a folder.

    Args:
        pattern: of the files.
        options: of which only the label can be given, as `FOLDER`.
        kinds: of columns, of which there are none.
        normal: names of the folders of normal images, of which all others are abnormal.

    Raises:
        ContentsError: for damaged files, images of several sizes, or too many of them.
        ValueError: for options of tables, or folders that are not there.
    """
    files, reader = files_of(pattern)
    label = options.label
    if label not in (None, FOLDER):
        raise ValueError(
            f"the label of images is the folder that a file is in, label={FOLDER!r}, got {label!r}"
        )
    check_options(reader, TableOptions(**{**vars(options), "label": None}))
    if kinds:
        raise ValueError("images have no columns whose kind could be said; leave --kind out")
    if label is not None and not normal:
        raise ValueError("say which folders hold normal images: --normal NAME of one or more")
    abnormal = None
    if label is not None:
        names = [file.parent.name for file in files]
        if lost := [name for name in normal if name not in names]:
            known = ", ".join(sorted({*names})[:5])
            raise ValueError(f"no image is in a folder {lost[0]!r}; there are {known}")
        abnormal = np.array([name not in normal for name in names])
    return Images(files, _pixels(files), abnormal, None if label is None else FOLDER, pattern)


def _pixels(files: list[Path]) -> np.ndarray:
    found: list[np.ndarray] = []
    for file in files:
        (chunk,) = images.chunks(file, Reading())
        image = np.asarray(chunk.x)[0]
        first = found[0] if found else image
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ContentsError(
                f"{file} has {_form(image)}, and {files[0]} {_form(first)}: all images must have "
                f"one size, depth and number of channels; resize or convert them"
            )
        if min(image.shape[:2]) < LEAST_SIDE:
            raise ContentsError(
                f"{file} has {_form(image)}, and sides must have {LEAST_SIDE} pixels or more"
            )
        if image.size * len(files) > MOST_VALUES:
            raise ContentsError(
                f"{len(files):,} images of {_form(image)} do not fit into memory; give fewer or "
                f"smaller ones, {MOST_VALUES:,} values in all at most"
            )
        found.append(image)
    return np.stack(found)


def _form(image: np.ndarray) -> str:
    height, width, channels = image.shape
    return f"{height} × {width} pixels, {channels} channels of {8 * image.itemsize} bits"


def _ninths(values: np.ndarray, of: Any) -> dict[str, float]:
    parts = [np.array_split(rows, 3, axis=1) for rows in np.array_split(values, 3, axis=0)]
    return {
        f"{row} {column}": float(of(parts[j][k]))
        for j, row in enumerate(ROWS) for k, column in enumerate(COLUMNS)
    }  # fmt: skip
