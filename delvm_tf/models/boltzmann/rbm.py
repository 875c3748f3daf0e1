"""What restricted Boltzmann machines of real inputs share."""

from typing import Any

import tensorflow as tf

from delvm_tf.curvature import SoftplusSum
from delvm_tf.models.latent_energy_model import LatentEnergyModel
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import Gibbs, Sampler

PRECISIONS = (None, "scalar", "diagonal")


class BlockGibbs:
    """A model whose conditionals are factorial, so that block Gibbs sampling is exact."""

    @property
    def chain_sampler(self) -> Sampler:
        """Block Gibbs, x given h with its noise."""
        return Gibbs(visible_noise=1.0)

    density_sampler = chain_sampler


class RealRBM(BlockGibbs, LatentEnergyModel):
    """E(x, h) = ½(x−b)ᵀΛ(x−b) − hᵀf(x) with a linear f and binary h.

    Summed over h, E(x) = ½(x−b)ᵀΛ(x−b) − Σₖ softplus(fₖ(x)). Both conditionals are factorial, so
    that block Gibbs sampling is exact.

    Args:
        network: one linear layer.
        objective: `ContrastiveDivergence()` by default.
        visible_precision: None for Λ = I, or a learned `"scalar"` or `"diagonal"` one.
        **kwargs: see `LatentEnergyModel`.

    Raises:
        ValueError: for another precision.
    """

    outer = SoftplusSum()

    def __init__(
        self,
        network: Any,
        objective: Objective | None,
        visible_precision: str | None,
        **kwargs: Any,
    ):
        check_precision(visible_precision)
        super().__init__(
            network,
            objective=ContrastiveDivergence() if objective is None else objective,
            visible_precision=visible_precision,
            **kwargs,
        )

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The mean of the hidden variables."""
        return [self.normalized_hidden(z)]

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving; subclasses make the network from their own arguments."""
        config = super().get_config()
        return {key: config[key] for key in config if key not in ("network", "visible_bias")}


def check_precision(visible_precision: str | None) -> None:
    """Refuse a visible precision that no Boltzmann machine has.

    Raises:
        ValueError: the message lists what there is.
    """
    if visible_precision not in PRECISIONS:
        raise ValueError(
            f"visible_precision must be None (unit noise), 'scalar' or 'diagonal', "
            f"got {visible_precision!r}"
        )
