"""Drawing samples from a trained model, watching for chains that diverge."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.inputs.notices import warn
from delvm_tf.samplers.chain import run_chain
from delvm_tf.samplers.named import get_sampler
from delvm_tf.samplers.sampler import Sampler, positive_integer

LOOKS = 10  # checks for divergence in a run whose trajectory is not recorded
MOVING = 0.05  # share of accepted steps below which chains count as stuck


class SamplingDiverged(RuntimeError):
    """Chains diverged. The message says when, and what to change.

    Examples:
        >>> try:
        ...     model.sample(100, dv.samplers.Langevin(step_size=10.0))
        ... except dv.samplers.SamplingDiverged as error:
        ...     print(error)
        chains of Langevin diverged within 100 steps ...
    """


class SamplingRun(NamedTuple):
    """A run of chains.

    Attributes:
        samples: the chains at the end, (n, ...) in raw units.
        trajectory: the chains at the recorded steps, (T, n, ...) in raw units.
        steps: the recorded steps, (T,), from 0, the start.
        energy: mean energy of the chains at the recorded steps, (T,); of samplers over noise levels
            at the level of the step.
        acceptance_rate: share of accepted steps over all chains; 1 for samplers that accept all.
        acceptance: that of the steps since the record before, (T,), the first NaN.

    Examples:
        >>> run = model.sample(100, "mala", steps=50, record_every=10, seed=0, details=True)
        >>> run.steps
        array([ 0, 10, 20, 30, 40, 50])
        >>> run.trajectory.shape, run.energy.shape
        ((6, 100, 6), (6,))
        >>> 0.5 < run.acceptance_rate <= 1
        True
    """

    samples: tf.Tensor
    trajectory: np.ndarray
    steps: np.ndarray
    energy: np.ndarray
    acceptance_rate: float
    acceptance: np.ndarray


def sample(
    model: Any,
    n: int,
    sampler: str | Sampler,
    steps: int | None,
    initial: Any,
    record_every: int | None,
    seed: int | None,
) -> SamplingRun:
    """Run n chains on a built model; see `EnergyModel.sample`.

    Returns:
        The `SamplingRun`.

    Raises:
        ValueError: for numbers below one, or starting points of the wrong shape.
        SamplingDiverged: if a chain diverges.

    Warns if hardly any step is accepted.

    Examples:
        >>> run = dv.samplers.sample(
        ...     model, 100, "mala", steps=50, initial=None, record_every=10, seed=0
        ... )
        >>> run.samples.shape
        TensorShape([100, 6])
    """
    sampler = get_sampler(sampler)
    steps = sampler.usual_steps if steps is None else steps
    for name, value in (("n", n), ("steps", steps), ("record_every", record_every or steps)):
        positive_integer(name, value)
    raw_dtype = model.normalization.raw_dtype()
    generator = keras.random.SeedGenerator(seed)
    z = _start(model, sampler, n, initial, noise.next_seed(generator))
    state = sampler.start(model, z, noise.next_seed(generator))
    run_seed = noise.next_seed(generator)
    bound = 1e3 * (1.0 + float(tf.reduce_max(tf.abs(z)))) + 1e3 * float(
        np.sqrt(np.prod(z.shape[1:]))
    )

    @tf.function(reduce_retracing=True, autograph=False)
    def advance(state: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> Any:
        end = run_chain(sampler, model, state, count, run_seed, first=first, total=steps)
        visible = sampler.visible(model, end.state)
        return (
            end.state,
            model.normalization.invert(visible, raw_dtype),
            tf.reduce_mean(sampler.energy(model, end.state, first + count, steps)),
            tf.reduce_max(tf.abs(visible)),
            tf.reduce_mean(end.accepted),
        )

    stride = record_every or max(1, steps // LOOKS)
    start_energy = float(tf.reduce_mean(sampler.energy(model, state, 0, steps)))
    recorded = [(0, model.normalization.invert(z, raw_dtype).numpy(), start_energy, np.nan)]
    accepted, before, done, samples = 0.0, 0.0, 0, z
    while done < steps:
        count = min(stride, steps - done)
        state, samples, energy, size, share = advance(state, tf.constant(done), tf.constant(count))
        done += count
        if not (np.isfinite(energy) and float(size) < bound):
            raise SamplingDiverged(
                f"chains of {type(sampler).__name__} diverged within {done} steps (largest value "
                f"{float(size):.3g} in normalised units, mean energy {float(energy):.3g}). Lower "
                f"the step size, or over noise levels take more steps; if that does not help, the "
                f"energy has no finite integral."
            )
        accepted += float(share) * count
        if record_every or done == steps:
            since = (accepted - before) / (done - recorded[-1][0])
            recorded.append((done, samples.numpy(), float(energy), since))
            before = accepted
    if accepted / steps < MOVING:
        warn(
            f"{type(sampler).__name__} accepted {accepted / steps:.1%} of its steps: the chains "
            f"hardly moved from their start, and their samples are not the model's; lower the step "
            f"size"
        )
    at, places, energies, rates = zip(*recorded, strict=True)
    return SamplingRun(
        samples, np.stack(places), np.array(at), np.array(energies), accepted / steps,
        np.array(rates),
    )  # fmt: skip


def _start(model: Any, sampler: Sampler, n: int, initial: Any, seed: tf.Tensor) -> tf.Tensor:
    """Where the chains start, in normalised units: at given inputs, or where the sampler begins."""
    if initial is None:
        return sampler.begin(model, n, seed)
    z = model.apply("normalized", tf.identity, initial)
    if len(z) != n:
        raise ValueError(f"initial has {len(z)} examples, but n = {n} chains were requested")
    return z
