"""Deep structured energy-based models."""

from typing import Any

import keras

from delvm_tf.models.dem import DEM
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective


@keras.saving.register_keras_serializable(package="delvm_tf")
class DSEBM(DEM):
    """E(x) = ½‖x−b‖² − Σₖ log(1 + exp fₖ(x)), a `DEM` around a learned visible bias b.

    For vectors with a dense network, for images with a convolutional one; as in a `DEM` the last
    layer should be linear (`output_activation="linear"` of `dv.networks`). Both of the source's
    criteria for anomalies are there: `energy` and `reconstruction_error`.

    Source: Zhai, Cheng, Lu and Zhang (2016), Deep structured energy based models for anomaly
    detection.

    Args:
        network: f, see `LatentEnergyModel`.
        objective: how it is learned; `ScoreMatching()` by default.
        normalization: see `EnergyModel`.
        scale: see `EnergyModel`.
        visible_precision: see `LatentEnergyModel`; None, the identity, in the source.
        visible_bias: a bias of `"each"` value, or one of each `"channel"`.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: without a visible bias; that is a `DEM`.

    Examples:
        >>> network = dv.networks.cnn((32, 32), 3, output_activation="linear")
        >>> model = dv.DSEBM(network, visible_bias="channel")
        >>> model.adapt(images)
        >>> model.energy(images).shape
        TensorShape([16])
    """

    def __init__(
        self,
        network: Any,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | QuadraticVisible | None = None,
        visible_bias: str | None = "each",
        **kwargs: Any,
    ):
        if visible_bias is None:
            raise ValueError(
                "a DSEBM has a visible bias, visible_bias='each' or 'channel'; "
                "without one it is a dv.DEM"
            )
        super().__init__(
            network,
            objective=objective,
            normalization=normalization,
            scale=scale,
            visible_precision=visible_precision,
            visible_bias=visible_bias,
            **kwargs,
        )
