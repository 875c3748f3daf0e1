"""The network that learns the energy of rows at all noise levels."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.models.noise_conditional.delvm import NoiseConditionalDELVM
from delvm_tf.networks import level_ffnn
from delvm_tf.objectives.noise_conditional_score_matching import NoiseConditionalScoreMatching
from delvm_tf.training.tracing import new_functions

UNITS = (128, 128, 64)
LEVELS = 8  # learned
STEPS, BATCH, STEPS_AT_ONCE = 1000, 256, 50
LEARNING_RATE, CLIPNORM = 1e-3, 100.0
START = 0.1  # of the usual size of the last kernel


@new_functions()
def trained(rows: np.ndarray, steps: int, seed: int, verbose: Any, callbacks: Any = ()) -> Any:
    """A noise-conditional DELVM of rows, (n, d) float32.

    Keras needs as long to begin an epoch as for many steps, so all steps are one epoch.
    """
    objective = NoiseConditionalScoreMatching(seed=seed)
    model = NoiseConditionalDELVM(
        level_ffnn(UNITS, "silu", "he_normal", seed=seed, output_activation="linear"),
        objective, normalization="none", noise_levels=LEVELS, preconditioned=True,
    )  # fmt: skip
    model.adapt(rows)
    if not model.built:
        model.build(rows.shape)
    # It begins close to normal data.
    kernel = model.network.chain[-1].kernel
    kernel.assign(START * kernel)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(rate, clipnorm=CLIPNORM), steps_per_execution=STEPS_AT_ONCE)
    order = np.random.default_rng(seed).integers(0, len(rows), (steps, BATCH))
    source = tf.constant(rows)
    batches = tf.data.Dataset.from_tensor_slices(order).map(lambda k: tf.gather(source, k))
    batches = batches.prefetch(STEPS_AT_ONCE)
    model.fit(batches, verbose=verbose, shuffle=False, callbacks=[*callbacks])
    return model


def errors(model: Any, x: tf.Tensor, sigma: float) -> tf.Tensor:
    """‖σ∇E(x, σ)‖², (batch,), at the level of the model that is next to σ."""
    level = min(model.noise_levels, key=lambda known: abs(math.log(known / sigma)))
    log_level = tf.constant([math.log(level)], x.dtype)
    _, expected = model.normalized_energy_and_reconstruction(x, log_level)
    return tf.reduce_sum(tf.square(x - expected), axis=1) / level**2
