"""Deep energy models at all noise levels."""

import keras

from delvm_tf.curvature import SoftplusSum
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel


@keras.saving.register_keras_serializable(package="delvm_tf")
class NoiseConditionalDEM(NoiseConditionalEnergyModel):
    """E(x, σ) = ½‖x/σ‖² − (1 + 1/σ²) Σₖ softplus(fₖ(x/√(1+σ²), log σ)), a `DEM` at every level σ.

    The last layer should be linear, as in a `DEM`. Arguments: see `NoiseConditionalEnergyModel`.

    Examples:
        >>> network = dv.networks.level_ffnn((256, 128), output_activation="linear")
        >>> model = dv.NoiseConditionalDEM(network)
        >>> model.adapt(x)
        >>> model.energy(x, sigma=0.5).shape
        TensorShape([64])
    """

    outer = SoftplusSum()
