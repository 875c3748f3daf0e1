"""The deep energy-based latent variable model."""

import keras

from delvm_tf.curvature import HalfSquaredNorm
from delvm_tf.models.latent_energy_model import LatentEnergyModel


@keras.saving.register_keras_serializable(package="delvm_tf")
class DELVM(LatentEnergyModel):
    """E(x) = ½‖x‖² − ½‖f(x)‖², with hidden variables h given x ~ N(f(x), I).

    The hidden variables of E(x, h) = ½‖x‖² − hᵀf(x) + ½‖h‖² are integrated out. Reconstruction
    x̂ = Jᵀf(x), at the cost of one forward pass and one vector-Jacobian product, as an autoencoder.

    Source: Guo and Kim (2023), A new energy-based latent-variable model for unsupervised feature
    learning, J. KICS 48(5). Arguments: see `LatentEnergyModel`.

    Examples:
        >>> network = dv.networks.cnn(filters=(70,), kernel_size=5)
        >>> model = dv.DELVM(network, normalization="center", scale=2.0)
        >>> model.adapt(images); model.compile(keras.optimizers.Adam(1e-3))
        >>> history = model.fit(images, epochs=10)
        >>> model.reconstruction_error(images).shape
        TensorShape([16])
    """

    outer = HalfSquaredNorm()
