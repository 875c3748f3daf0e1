"""The deep energy-based latent variable model at all noise levels."""

import keras

from delvm_tf.curvature import HalfSquaredNorm
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel


@keras.saving.register_keras_serializable(package="delvm_tf")
class NoiseConditionalDELVM(NoiseConditionalEnergyModel):
    """E(x, σ) = ½‖x/σ‖² − ½(1 + 1/σ²)‖f(x/√(1+σ²), log σ)‖², a `DELVM` at every noise level σ.

    In units of u = x/√(1+σ²) it is 1 + 1/σ² times the DELVM's ½‖u‖² − ½‖f(u)‖²; at σ = 1, twice.
    Reconstruction x̂ = √(1+σ²) Jᵀf, the mean of the data given x = data + σε. Arguments: see
    `NoiseConditionalEnergyModel`.

    Examples:
        >>> network = dv.networks.level_ffnn((32, 16))
        >>> model = dv.NoiseConditionalDELVM(network, normalization="zscore")
        >>> model.adapt(x); model.compile(keras.optimizers.Adam(1e-3))
        >>> history = model.fit(x, epochs=2)
        >>> model.errors(x).shape == (64, len(model.noise_levels))
        True
    """

    outer = HalfSquaredNorm()
