"""Sheets of drawn images, and moving ones."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import TEXT
from delvm_tf.storage.ownership import whole

TILE = 0.55  # inches of an image
GAP, BREAK = 0.08, 0.35  # between images, and between groups of columns, in sides of an image
HEAD, SIDE = 0.3, 0.65  # inches for headings and for names of rows
LARGEST = 1_000_000  # bytes of a moving image
WHITE = 255
UNKNOWN = (0.5, 0.6, 0.8)  # red, green and blue of what is masked


def plot_sheet(
    images: Any, low: float, high: float, headings: Sequence[str] = (), sides: Sequence[str] = (),
    breaks: Sequence[int] = (), title: str = "",
) -> Any:  # fmt: skip
    """Images in rows and columns.

    Args:
        images: (rows, columns, height, width, 1 or 3); places with NaN stay empty.
        low: the value that is black.
        high: the value that is white.
        headings: of the columns, if they have any.
        sides: names of the rows, if they have any.
        breaks: columns with more room before them.
        title: above the sheet.

    Returns:
        A matplotlib figure, in colour for three channels, grey for one.

    Raises:
        ValueError: for another shape or an empty range of values.
    """
    tiles = np.asarray(images, np.float64)
    if tiles.ndim != 5 or tiles.shape[-1] not in (1, 3) or not tiles.size:
        raise ValueError(
            f"expected images (rows, columns, height, width, 1 or 3), got {tiles.shape}"
        )
    if not low < high:
        raise ValueError(f"low must be less than high, got {low!r} and {high!r}")
    rows, columns = tiles.shape[:2]
    lefts = [(1 + GAP) * c + BREAK * sum(b <= c for b in breaks) for c in range(columns)]
    width, height = lefts[-1] + 1, (1 + GAP) * rows - GAP
    side = SIDE if sides else 0.0
    head = HEAD * (bool(headings) + bool(title))
    figure, axes = new_figure(TILE * width + side + 0.1, TILE * height + head + 0.1)
    ax = axes[0, 0]
    shown = np.clip((tiles - low) / (high - low), 0, 1)
    for row, column in np.ndindex(rows, columns):
        tile = shown[row, column]
        if np.isnan(tile).any():
            continue
        left, top = lefts[column], (1 + GAP) * row
        ax.imshow(
            np.repeat(tile, 3, axis=2) if tile.shape[2] == 1 else tile,
            extent=(left, left + 1, top + 1, top), interpolation="nearest",
        )  # fmt: skip
    for left, text in zip(lefts, headings, strict=bool(headings)):
        ax.text(left + 0.5, -0.12, text, ha="center", va="bottom", fontsize=TEXT)
    for row, text in enumerate(sides):
        ax.text(-0.12, (1 + GAP) * row + 0.5, text, ha="right", va="center", fontsize=TEXT)
    if title:
        ax.set_title(title, fontsize=TEXT, pad=19 if headings else 6)
    ax.set(xlim=(-0.02, width + 0.02), ylim=(height + 0.02, -0.02), aspect="equal")
    ax.set_axis_off()
    return figure


def plot_grid(images: Any, low: float, high: float, columns: int = 8, title: str = "") -> Any:
    """Images, (n, ...), row by row.

    Args:
        images: (n, height, width, 1 or 3).
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        columns: images in a row.
        title: see `plot_sheet`.
    """
    return plot_sheet(_in_rows(images, columns), low, high, title=title)


def plot_neighbours(
    drawn: Any, neighbours: Any, low: float, high: float, blocks: int = 3, title: str = ""
) -> Any:
    """Each drawn image with the training images nearest to it on its right.

    Args:
        drawn: (n, height, width, channels).
        neighbours: (n, k, height, width, channels), from the nearest on.
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        blocks: drawn images in a row.
        title: see `plot_sheet`.
    """
    together = np.concatenate([np.asarray(drawn)[:, np.newaxis], neighbours], axis=1)
    n, size = together.shape[:2]
    blocks = min(blocks, n)
    rows = math.ceil(n / blocks)
    sheet = np.full((rows * blocks, *together.shape[1:]), np.nan)
    sheet[:n] = together
    headings = ["drawn", "nearest", *([""] * (size - 2))] * blocks
    return plot_sheet(
        sheet.reshape(rows, blocks * size, *together.shape[2:]), low, high, headings,
        breaks=[size * block for block in range(1, blocks)], title=title,
    )  # fmt: skip


def plot_denoising(
    clean: Any, levels: Mapping[float, Sequence[Any]], low: float, high: float, title: str = ""
) -> Any:
    """Clean images, and at each noise level noisy ones, their posterior means and draws.

    Args:
        clean: (n, height, width, channels).
        levels: by σ, noisy images, means and one draw of each, all shaped as `clean`.
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        title: see `plot_sheet`.
    """
    parts = [clean, *(part for group in levels.values() for part in group)]
    headings = ["clean"]
    for sigma in levels:
        headings += [f"σ = {sigma:.2g}", "mean", "draw"]
    breaks = [1 + 3 * level for level in range(len(levels))]
    return plot_sheet(np.stack(parts, axis=1), low, high, headings, breaks=breaks, title=title)


def plot_completions(
    images: Any, known: Any, completions: Any, low: float, high: float, title: str = ""
) -> Any:
    """Images, what was known of them, and draws of the rest.

    Args:
        images: (n, height, width, channels).
        known: where values are known, boolean, of a shape that broadcasts to the images.
        completions: (draws, n, height, width, channels).
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        title: see `plot_sheet`.
    """
    images, completions = (
        np.broadcast_to(each, (*np.shape(each)[:-1], 3)) for each in (images, completions)
    )
    masked = np.where(known, images, low + (high - low) * np.array(UNKNOWN))
    headings = ["image", "known", "draws", *([""] * (len(completions) - 1))]
    sheet = np.stack([images, masked, *completions], axis=1)
    return plot_sheet(sheet, low, high, headings, breaks=[1, 2], title=title)


def plot_strips(
    strips: Any, low: float, high: float, headings: Sequence[str] = (), title: str = ""
) -> Any:
    """Sequences of images from left to right, such as interpolations or the steps of a chain.

    Args:
        strips: (steps, n, height, width, channels).
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        headings: of the steps.
        title: see `plot_sheet`.
    """
    return plot_sheet(np.swapaxes(np.asarray(strips), 0, 1), low, high, headings, title=title)


def save_animation(
    trajectory: Any, path: Path, low: float, high: float, columns: int = 8, side: int = 56,
    milliseconds: int = 80, last: int = 2000,
) -> Path:  # fmt: skip
    """Write images in motion as a GIF of less than a megabyte, which begins again at its end.

    If it comes out larger, every second frame is left out, as often as it takes; the last stays.

    Args:
        trajectory: images at each frame, (frames, n, height, width, 1 or 3).
        path: ends in `.gif`; a file there is replaced.
        low: see `plot_sheet`.
        high: see `plot_sheet`.
        columns: images in a row.
        side: pixels of an image on the screen, at least; a whole multiple of its own.
        milliseconds: of a frame.
        last: milliseconds of the last.

    Raises:
        ValueError: for another ending of the name, or if one frame alone is too large.
    """
    from PIL import Image

    if path.suffix != ".gif":
        raise ValueError(f"moving images are GIF files, so the name must end in .gif, got {path}")
    frames = np.asarray(trajectory, np.float64)
    factor = math.ceil(side / frames.shape[2])
    shown = np.rint(WHITE * np.clip((frames - low) / (high - low), 0, 1)).astype(np.uint8)
    pictures = [
        Image.fromarray(_mosaic(_in_rows(frame, columns, WHITE), factor)) for frame in shown
    ]
    while True:
        times = [milliseconds] * (len(pictures) - 1) + [last]
        with whole(path) as partial:
            pictures[0].save(
                partial, format="GIF", save_all=True, append_images=pictures[1:], duration=times,
                loop=0,
            )  # fmt: skip
            size = partial.stat().st_size
        if size < LARGEST:
            return path
        if len(pictures) == 1:
            raise ValueError(f"one frame takes {size} bytes; show fewer images")
        pictures = pictures[::-1][::2][::-1]


def _in_rows(images: Any, columns: int, empty: float = math.nan) -> np.ndarray:
    """(n, ...) to (rows, columns, ...), with a value for the places that are left over."""
    images = np.asarray(images)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    kind = np.float64 if math.isnan(empty) else images.dtype
    sheet = np.full((rows * columns, *images.shape[1:]), empty, kind)
    sheet[: len(images)] = images
    return sheet.reshape(rows, columns, *images.shape[1:])


def _mosaic(tiles: np.ndarray, factor: int) -> np.ndarray:
    """Tiles of bytes side by side, each pixel a square, (height, width) or (height, width, 3)."""
    rows, columns, height, width, channels = tiles.shape
    large = tiles.repeat(factor, axis=2).repeat(factor, axis=3)
    gap = max(1, height * factor // 16)
    padded = np.pad(large, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)), constant_values=WHITE)
    whole_sheet = padded.swapaxes(1, 2).reshape(
        rows * (height * factor + gap), columns * (width * factor + gap), channels
    )[:-gap, :-gap]
    return whole_sheet[..., 0] if channels == 1 else whole_sheet
