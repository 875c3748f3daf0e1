"""Deep energy models: binary hidden variables on a deep network."""

import keras

from delvm_tf.curvature import SoftplusSum
from delvm_tf.models.latent_energy_model import LatentEnergyModel


@keras.saving.register_keras_serializable(package="delvm_tf")
class DEM(LatentEnergyModel):
    """E(x) = ½‖x‖² − Σₖ log(1 + exp fₖ(x)), with binary hidden variables, P(hₖ=1|x) = σ(fₖ(x)).

    The hidden variables of E(x, h) = ½‖x‖² − hᵀf(x) are summed out. Reconstruction x̂ = Jᵀσ(f(x)),
    at the cost of an autoencoder. The last layer should be linear (`output_activation="linear"` of
    `dv.networks`): fₖ is the log-odds of hₖ, and a ReLU there keeps every P(hₖ=1|x) above one half.

    Source: Ngiam, Chen, Koh and Ng (2011), Learning deep energy models. Arguments: see
    `LatentEnergyModel`.

    Examples:
        >>> network = dv.networks.ffnn((256, 128), output_activation="linear")
        >>> model = dv.DEM(network, scale=2.0)
        >>> model.adapt(x); model.compile("adam")
        >>> model.hidden(x).shape  # P(hₖ=1|x)
        TensorShape([64, 128])
    """

    outer = SoftplusSum()
