"""Drawing images from models, batch by batch."""

import numpy as np

from delvm_tf.models.energy_model import EnergyModel
from trainers.experiments.generation.recipes import GenerationRecipe

AT_ONCE = 500  # chains of a run


def draw_images(
    recipe: GenerationRecipe, model: EnergyModel, n: int, seed: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Images of a model by the sampler of its recipe, in raw units, (n, *shape).

    Args:
        recipe: the sampler and its steps.
        model: trained.
        n: how many.
        seed: of the chains.
        shape: (height, width, channels).

    Raises:
        SamplingDiverged: if chains run away.
    """
    drawn = []
    for first in range(0, n, AT_ONCE):
        own = int(np.random.SeedSequence([seed, first]).generate_state(1)[0]) >> 1
        count = min(AT_ONCE, n - first)
        chains = model.sample(count, recipe.made_sampler(), recipe.steps, seed=own)
        drawn.append(np.asarray(chains, np.float32).reshape(count, *shape))
    return np.concatenate(drawn)
