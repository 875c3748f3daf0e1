"""Deep structured energy-based models at all noise levels."""

from typing import Any

import keras

from delvm_tf.models.noise_conditional.dem import NoiseConditionalDEM


@keras.saving.register_keras_serializable(package="delvm_tf")
class NoiseConditionalDSEBM(NoiseConditionalDEM):
    """A `NoiseConditionalDEM` around a learned visible bias b, a `DSEBM` at every noise level.

        E(x, σ) = ½‖(x−b)/σ‖² − (1 + 1/σ²) Σₖ softplus(fₖ(x/√(1+σ²), log σ))

    The last layer should be linear, as in a `DEM`.

    Args:
        network: see `NoiseConditionalEnergyModel`, as for all arguments but the next.
        visible_bias: a bias of `"each"` value, or one of each `"channel"`.
        **kwargs: further arguments of `NoiseConditionalEnergyModel`.

    Raises:
        ValueError: without a visible bias; that is a `NoiseConditionalDEM`.

    Examples:
        >>> network = dv.networks.level_cnn((32, 32), output_activation="linear")
        >>> model = dv.NoiseConditionalDSEBM(network, visible_bias="channel")
        >>> model.adapt(images)
        >>> model.denoise(images, sigma=0.5).shape
        TensorShape([16, 8, 8, 1])
    """

    def __init__(self, network: Any, visible_bias: str | None = "each", **kwargs: Any):
        if visible_bias is None:
            raise ValueError(
                "a DSEBM has a visible bias, visible_bias='each' or 'channel'; "
                "without one it is a dv.NoiseConditionalDEM"
            )
        super().__init__(network, visible_bias=visible_bias, **kwargs)
