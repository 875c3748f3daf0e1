"""Draws of clean data given noisy data, or given some of their values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.columns import names_of
from delvm_tf.models.noise_conditional.flow import start_spread
from delvm_tf.models.noise_conditional.reversal import Known, Reversal
from delvm_tf.models.noise_conditional.rows import by_rows, in_raw_units, new_seed
from delvm_tf.models.reconstruction_model import FunctionOfModel
from delvm_tf.samplers import ProbabilityFlow, run_chain
from delvm_tf.samplers.sampler import positive_integer
from delvm_tf.training.received import compare_names


@dataclass(frozen=True)
class PosteriorDraws(FunctionOfModel):
    """Draws of clean data given z = data + σε, (batch, draws, ...)."""

    draws: int
    steps: int

    def __call__(
        self, z: tf.Tensor, seed: tf.Tensor, rows: tf.Tensor, log_sigma: tf.Tensor
    ) -> tf.Tensor:
        """As many draws of each row."""
        run = Reversal(self.model, self.steps)
        seeds = noise.RowSeeds(seed, rows)
        return _of_draws(lambda z, seed: run(z, log_sigma, seed), self.draws, 1, seeds, z)


@dataclass(frozen=True)
class Inpainting(FunctionOfModel):
    """Draws of the values that are not known given those that are, (batch, draws, ...).

    Attributes:
        draws: of each row.
        steps: see `Reversal`.
        correctors: see `Reversal`.
        particles: see `Reversal`, of each draw.
    """

    draws: int
    steps: int
    correctors: int = 2
    particles: int = 4

    def __call__(
        self, z: tf.Tensor, seed: tf.Tensor, rows: tf.Tensor, known: tf.Tensor
    ) -> tf.Tensor:
        """As many draws of each row."""
        run = Reversal(self.model, self.steps, self.correctors, self.particles)
        largest, spread = self.model.noise_levels[0], start_spread(self.model)

        def draw(z: tf.Tensor, where: tf.Tensor, seed: noise.Seed) -> tf.Tensor:
            known = Known(where, z)
            drawn = noise.normal(tf.shape(z), noise.fold(seed, 0), z.dtype)
            drawn = run.shared(drawn, known)
            start = tf.where(where, z + largest * drawn, spread * drawn)
            level = tf.math.log(tf.constant(largest, z.dtype))
            return run(start, level, noise.fold(seed, 1), known)

        seeds = noise.RowSeeds(seed, rows)
        return _of_draws(draw, self.draws, self.particles, seeds, z, known)


def _of_draws(
    draw: Callable[..., tf.Tensor],
    draws: int,
    particles: int,
    seeds: noise.RowSeeds,
    *of_rows: tf.Tensor,
) -> tf.Tensor:
    """Each row as often as it is drawn, with seeds of their own, (batch, draws, ...)."""
    count = draws * particles
    repeated = [
        tf.ensure_shape(tf.repeat(each, count, axis=0), (None, *each.shape[1:])) for each in of_rows
    ]
    z = draw(*repeated, seeds._replace(repeats=count))
    return tf.reshape(z, tf.concat([[-1, draws], tf.shape(z)[1:]], axis=0))


def posterior_draws(
    model: Any, x: Any, log_sigma: tf.Tensor, draws: int, steps: int, seed: int | None, batch: int
) -> tf.Tensor:
    """See `NoiseConditionalEnergyModel.denoise`; (draws, n, ...)."""
    for name, number in (("draws", draws), ("steps", steps)):
        positive_integer(name, number)
    function = PosteriorDraws(model, draws, steps)
    found = by_rows("denoise", function, x, batch, new_seed(seed), of_all=(log_sigma,))
    return draws_first(found)


def inpaint(
    model: Any,
    x: Any,
    mask: Any,
    draws: int | None,
    steps: int,
    correctors: int,
    particles: int,
    seed: int | None,
    batch: int,
) -> tf.Tensor:
    """See `NoiseConditionalEnergyModel.inpaint`."""
    numbers = {
        "draws": 1 if draws is None else draws,
        "steps": steps,
        "correctors": correctors or 1,
        "particles": particles,
    }
    for name, number in numbers.items():
        positive_integer(name, number)
    refuse_mixing(model)
    compare_names(model, names_of(x))
    x, known = read_mask(model.input_shape_or_none, x, mask, type(model).__name__)

    def finish(z: tf.Tensor, rows: Any) -> tf.Tensor:
        found = in_raw_units(model, z, rows)
        raw = tf.cast(tf.convert_to_tensor(rows), found.dtype)[:, tf.newaxis]
        return tf.where(next(masks)[:, tf.newaxis], raw, found)

    masks = iter([known[at : at + batch] for at in range(0, len(known), batch)])
    function = Inpainting(model, draws or 1, steps, correctors, particles)
    found = by_rows("inpaint", function, x, batch, new_seed(seed), of_each=(known,), finish=finish)
    return found[:, 0] if draws is None else draws_first(found)


def refuse_mixing(model: Any) -> None:
    """Whether known values of x are known values of z; ValueError if not."""
    if model.normalization.mode == "zca":
        raise ValueError(
            "values are known one by one, and normalization='zca' mixes them; use 'zscore' or "
            "'center'"
        )


def read_mask(shape: Any, x: Any, mask: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows with zeros where they are not known, and the mask in their shape.

    Raises:
        TypeError: if the mask is not boolean.
        ValueError: if it fits neither the rows nor one of them.
    """
    x = inputs.read_rows(x, shape, owner)
    known = np.asarray(mask)
    if known.dtype != bool:
        raise TypeError(
            f"mask must be boolean, True where x is known and False where it is to be drawn, got "
            f"{known.dtype}"
        )
    whole = tuple(x.shape)
    fits = known.ndim in (len(whole), len(whole) - 1) and all(
        size in (1, wanted) for size, wanted in zip(known.shape[::-1], whole[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"mask must have the shape of x, {whole}, or of one example, {whole[1:]}, where any "
            f"axis may be 1, got {known.shape}"
        )
    known = np.broadcast_to(known, whole)
    values = np.asarray(x)
    if values.dtype.kind not in "iu":
        values = np.where(known, values, np.zeros((), values.dtype))
    return values, known


def samples_of_seeds(model: Any, seed: tf.Tensor, seeds: tf.Tensor, steps: int) -> tf.Tensor:
    """Samples of the probability flow in normalised units, one for each seed, (seeds, ...)."""
    sampler, of_rows = ProbabilityFlow(), noise.RowSeeds(seed, seeds)
    start = sampler.begin(model, tf.shape(seeds)[0], of_rows)
    start = tf.ensure_shape(start, (None, *model.input_shape_or_none))
    return run_chain(sampler, model, start, steps, seed).state


def draws_first(found: tf.Tensor) -> tf.Tensor:
    """(n, draws, ...) to (draws, n, ...)."""
    return tf.transpose(found, [1, 0, *range(2, found.shape.rank)])
