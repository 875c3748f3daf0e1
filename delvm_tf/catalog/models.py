"""The models by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras

from delvm_tf.catalog.objectives import OBJECTIVES, make_objective
from delvm_tf.catalog.settings import Setting, imported, parameters_of, settings_of
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.networks import LevelNetwork, LevelUNet, cnn, ffnn, level_cnn, level_ffnn
from delvm_tf.objectives.objective import Objective

OF_ONE_ENERGY = tuple(name for name, kind in OBJECTIVES.items() if not kind.noise_conditional)


class ModelKind(NamedTuple):
    """A model that can be asked for by name.

    Attributes:
        title: what tables call it.
        path: its module in `delvm_tf.models`, and its class.
        objectives: names of the objectives that it can be learned by, the usual one first.
        layers: what its layers are given by: one of `NETWORKS`, or its own `"units"` or
            `"filters"`.
        usual: settings that are not the model's own defaults.

    Examples:
        >>> kind = dv.catalog.MODELS["gaussian-rbm"]
        >>> kind.title, kind.layers
        ('Gaussian RBM', 'units')
        >>> kind.model(units=4).units
        4
        >>> "visible_precision" in kind.settings
        True
    """

    title: str
    path: str
    objectives: tuple[str, ...] = OF_ONE_ENERGY
    layers: str = "network"
    usual: Mapping[str, Any] = {}

    @property
    def model(self) -> Callable[..., ReconstructionModel]:
        """The model from its settings."""
        return partial(imported("models", self.path), **self.usual)

    @property
    def settings(self) -> dict[str, Setting]:
        """What it can be told, layers included, as far as it can be written down."""
        if self.layers in NETWORKS:
            return settings_of(NETWORKS[self.layers], self.model)
        own = settings_of(self.model)
        own[self.layers] = own[self.layers]._replace(kind=Sequence[int])  # also where it has one
        return own


def _nc(title: str, path: str, *objectives: str) -> ModelKind:
    """A model that knows the noise level."""
    usual = objectives or ("noise-conditional",)
    return ModelKind(title, f"noise_conditional.{path}", usual, "level_network")


MODELS = {
    "delvm": ModelKind("DELVM", "delvm.DELVM"),
    "dem": ModelKind("DEM", "dem.DEM"),
    "dsebm": ModelKind("DSEBM", "dsebm.DSEBM"),
    "cebm": ModelKind("CEBM", "cebm.CEBM"),
    "cebm-mixture": ModelKind("CEBM, mixture", "cebm.CEBM", usual={"components": 10}),
    "gaussian-rbm": ModelKind("Gaussian RBM", "boltzmann.gaussian_rbm.GaussianRBM", layers="units"),
    "conv-rbm": ModelKind("convolutional RBM", "boltzmann.conv_rbm.ConvRBM", layers="filters"),
    "dbn": ModelKind("DBN", "boltzmann.dbn.DBN", ("cd", "persistent-cd"), "units"),
    "dbm": ModelKind("DBM", "boltzmann.dbm.DBM", layers="units"),
    "nc-delvm": _nc("NC-DELVM", "delvm.NoiseConditionalDELVM"),
    "nc-dem": _nc("NC-DEM", "dem.NoiseConditionalDEM"),
    "nc-dsebm": _nc("NC-DSEBM", "dsebm.NoiseConditionalDSEBM"),
    "density-delvm": ModelKind(
        "density DELVM", "noise_conditional.density.DensityDELVM", ("dual",), "smooth_network"
    ),
    "autoencoder": ModelKind("AE", "autoencoder.Autoencoder", ("reconstruction",)),
    "conv-autoencoder": ModelKind("CAE", "conv_autoencoder.ConvAutoencoder", ("reconstruction",)),
}
"""Models by name, a `ModelKind` each; `make_model` makes one.

Examples:
    >>> "delvm" in dv.catalog.MODELS
    True
    >>> dv.catalog.MODELS["dbn"].objectives
    ('cd', 'persistent-cd')
"""
ONE_LAYER = ("gaussian-rbm", "conv-rbm")


def import_all() -> None:
    """Import all models and objectives, which registers them with Keras."""
    for model in MODELS.values():
        _ = model.model
    for objective in OBJECTIVES.values():
        _ = objective.make


def network(
    units: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    kernel_size: int | Sequence[int] = 5,
    strides: int | Sequence[int] = 1,
    activation: str = "relu",
    bias_constraint: str | None = None,
    kernel_initializer: str | keras.Initializer = "glorot_uniform",
    seed: int | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> keras.Sequential:
    """Convolutions if there are filters, then dense layers if there are units; both, or one.

    Dense layers see images as vectors.

    Args:
        units: of dense layers.
        filters: of convolutional layers.
        kernel_size: side of the filters, of all layers or of each.
        strides: of the filters, of all layers or of each.
        activation: a Keras activation's name.
        bias_constraint: `"non_positive"`, or None.
        kernel_initializer: a Keras initializer, or its name.
        seed: makes the initial weights reproducible.
        input_shape: of one example, to check the layers by; None if it is not known.
    """
    common: dict[str, Any] = {
        "activation": activation, "bias_constraint": bias_constraint,
        "kernel_initializer": kernel_initializer, "seed": seed,
    }  # fmt: skip
    if not filters and not units:
        raise ValueError("a network needs units of dense layers or filters of convolutions")
    layers: list[Any] = []
    if filters:
        if input_shape is not None and len(input_shape) != 3:
            raise ValueError(
                f"filters are for images (height, width, channels), but one input has shape "
                f"{input_shape}; give units instead"
            )
        layers += cnn(filters, kernel_size, strides, **common).layers
    if units:
        if filters or (input_shape is not None and len(input_shape) > 1):
            layers.append(keras.layers.Flatten())
        layers += ffnn(units, **common).layers
    return keras.Sequential(layers)


def level_network(
    units: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    kernel_size: int | Sequence[int] = 5,
    strides: int | Sequence[int] = 1,
    channels: Sequence[int] | None = None,
    blocks: int | Sequence[int] = 1,
    activation: str = "relu",
    waves: int = 8,
    kernel_initializer: str | keras.Initializer = "glorot_uniform",
    seed: int | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> LevelNetwork | LevelUNet:
    """The same, scaled and shifted by the noise level; filters are also for series, (length,).

    With `channels`, in place of units and filters, a `LevelUNet` of images.

    Args:
        units: see `network`, as for the others.
        filters: see `network`.
        kernel_size: see `network`.
        strides: see `network`.
        channels: of each resolution of a U-Net, from the finest to the coarsest.
        blocks: of each resolution of a U-Net; one number for all, or one each.
        activation: see `network`.
        waves: of log σ; see `delvm_tf.networks.LevelNetwork`.
        kernel_initializer: see `network`.
        seed: see `network`.
        input_shape: of one example; (length,) or (length, channels) for filters along series.
    """
    common: dict[str, Any] = {
        "activation": activation, "kernel_initializer": kernel_initializer, "seed": seed,
        "waves": waves,
    }  # fmt: skip
    if channels:
        if filters or units:
            raise ValueError("channels are those of a U-Net, which takes no units and no filters")
        if input_shape is not None and len(input_shape) != 3:
            raise ValueError(
                f"channels are for images (height, width, channels), but one input has shape "
                f"{input_shape}; give units instead"
            )
        return LevelUNet(channels, blocks, **common)
    if not filters and not units:
        raise ValueError("a network needs units of dense layers or filters of convolutions")
    if not filters:
        return level_ffnn(units or (), **common)
    rank = 1 if input_shape is not None and len(input_shape) < 3 else 2
    return level_cnn(filters, kernel_size, strides, units or (), rank, **common)


NETWORKS: dict[str, Callable[..., Any]] = {
    "network": network, "level_network": level_network,
    "smooth_network": partial(level_network, activation="silu", kernel_initializer="he_normal"),
}  # fmt: skip


def make_model(
    name: str, objective: Objective | str | None = None, **settings: Any
) -> ReconstructionModel:
    """A model by name.

    Args:
        name: one of `MODELS`.
        objective: an objective, or its name; the model's usual one by default.
        **settings: of the model and of its network (`units`, `filters`, `kernel_size`, `strides`,
            `activation`, `bias_constraint`, `kernel_initializer`, `seed`, `input_shape`; see
            `network` and `level_network`); those that are None are left at their defaults.

    Raises:
        ValueError: for an unknown name, a setting that the model does not have, or layers that do
            not fit it.
        TypeError: if the objective makes no sense for the model.

    Examples:
        >>> model = dv.catalog.make_model("dem", "cd", units=(256,), normalization="zscore", seed=0)
        >>> model.adapt(x)
        >>> model.hidden(x).shape
        TensorShape([64, 256])
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; expected one of {', '.join(MODELS)}")
    kind = MODELS[name]
    given = {key: value for key, value in settings.items() if value is not None}
    if isinstance(objective, str) or objective is None:
        objective = make_objective(objective or kind.objectives[0], seed=given.get("seed"))
    arguments: dict[str, Any] = {"objective": objective}
    if kind.layers in NETWORKS:
        make_network = NETWORKS[kind.layers]
        own = {k: given.pop(k) for k in list(given) if k in parameters_of(make_network)}
        arguments["network"] = make_network(**own)
    else:
        arguments.update(_own_layers(name, kind.layers, given))
    unknown = sorted(given.keys() - parameters_of(kind.model).keys())
    if unknown:
        raise ValueError(f"the model {name!r} has no setting {', '.join(unknown)}")
    return kind.model(**arguments, **given)


def _own_layers(name: str, layers: str, given: dict[str, Any]) -> dict[str, Any]:
    """Units or filters of a model that makes its own layers; what has no meaning is taken out."""
    other = {"units": "filters", "filters": "units"}[layers]
    if given.pop(other, None):
        raise ValueError(f"the model {name!r} is made of {layers}, not of {other}")
    given.pop("input_shape", None)
    if layers == "units":
        for setting in ("kernel_size", "strides"):
            given.pop(setting, None)
    if layers not in given:
        return {}
    values = given.pop(layers)
    if name not in ONE_LAYER:
        return {layers: values}
    if isinstance(values, Sequence) and len(values) != 1:
        raise ValueError(f"the model {name!r} has one layer, got {layers}={tuple(values)}")
    return {layers: values[0] if isinstance(values, Sequence) else values}
