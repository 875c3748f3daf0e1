"""Growing a deep model one layer at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from delvm_tf import keras_private
from delvm_tf.distribution.chief import writes_files
from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.arrays import is_array
from delvm_tf.inputs.columns import names_of
from delvm_tf.storage.ownership import claim, read_json, release, write_json
from delvm_tf.storage.paths import local_path
from delvm_tf.training.backups import NAMES, Backup


class LayerStage(NamedTuple):
    """What is being trained; callbacks find it as `self.model.stage`.

    Attributes:
        layer: number of the layer, from 1; `layers` + 1 when all are trained together.
        layers: how many the whole model has.
        learning_rate: the stage's own.
        epochs: the stage's own.

    Examples:
        >>> rates = {}
        >>> class Told(keras.callbacks.Callback):
        ...     def on_train_begin(self, logs=None):
        ...         rates[self.model.stage.title] = self.model.stage.learning_rate
        >>> model = dv.DELVM(dv.networks.ffnn((8, 4)))
        >>> model.adapt(x)
        >>> histories = dv.fit_layerwise(model, x, epochs=(2, 0), callbacks=[Told()], verbose=0)
        >>> rates
        {'layer 1 of 2': 0.001}
    """

    layer: int
    layers: int
    learning_rate: float
    epochs: int

    @property
    def joint(self) -> bool:
        """Whether all layers are trained together."""
        return self.layer > self.layers

    @property
    def title(self) -> str:
        """What is being trained, in words."""
        return "all layers" if self.joint else f"layer {self.layer} of {self.layers}"


def fit_layerwise(
    model: Any,
    x: Any,
    y: Any = None,
    epochs: int | Sequence[int] = 10,
    learning_rates: float | Sequence[float] = 1e-3,
    joint_epochs: int = 0,
    joint_learning_rate: float | None = None,
    optimizer: Any = "adam",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    backup_dir: str | Path | None = None,
    **kwargs: Any,
) -> dict[str, dict[str, list[float]]]:
    """Train a model layer by layer, each new layer with those below it fixed; then all, if wanted.

    Each stage is a model of its own, over x, that shares the layers with the whole
    (`model.layer_stage(depth)`); a deep belief network's stages are Boltzmann machines over the
    layer below. Every layer gets the optimizer anew, with a learning rate of its own. How the model
    was compiled, its optimizer's state included, and which layers are trainable, is afterwards as
    it was before, also after an error.

    Args:
        model: a model with layers, adapted.
        x: training data, as for `fit`.
        y: labels, as for `fit`; they play no part.
        epochs: of each layer, one number for all or one per layer. Zero skips a layer.
        learning_rates: of each layer, likewise.
        joint_epochs: epochs of all layers together, at the end.
        joint_learning_rate: their learning rate; the smallest of the layers' unless given.
        optimizer: a Keras optimizer or its name, whose settings each stage takes over.
        callbacks: Keras callbacks, called in every stage; `self.model` is the stage's model, and
            `self.model.stage` tells which it is.
        backup_dir: folder for backups, new or empty. A run with the same folder goes on where an
            interrupted one stopped; the backups are removed at the end.
        **kwargs: for `fit`: `batch_size`, `validation_data`, `verbose`, ...

    Returns:
        The history of each stage by its title, such as "layer 1 of 3".

    Raises:
        TypeError: if the model has no layers to grow.
        ValueError: if the model is not adapted, its network is not a chain, the backup is of
            another run, the numbers do not fit the layers, or the folder is no path of this
            machine.
        FileExistsError: if the folder for backups holds anything else.
        TrainingDiverged: if a stage runs away; finished stages keep their weights.

    Examples:
        >>> model = dv.DELVM(dv.networks.ffnn((8, 4)))
        >>> model.adapt(x)
        >>> histories = dv.fit_layerwise(model, x, epochs=2, learning_rates=(1e-3, 1e-4), verbose=0)
        >>> [*histories]
        ['layer 1 of 2', 'layer 2 of 2']
    """
    if not hasattr(model, "layer_stage"):
        raise TypeError(f"{type(model).__name__} has no layers to grow; train it by fit")
    if not model.built:
        shape = inputs.shape_of_one(x)
        if shape is None:
            raise ValueError("the model is not built; call model.adapt(x) first")
        model.build((None, *shape))
    if is_array(x):  # looked through once, not in every stage
        rows = inputs.check_array(x, model.input_shape_or_none, type(model).__name__)
        x = inputs.CheckedRows(rows, names_of(x))
    count = model.layer_count
    template = keras.optimizers.get(optimizer)
    rates = [float(rate) for rate in _per_layer("learning_rates", learning_rates, count)]
    stages = [
        LayerStage(index, count, rate, int(n))
        for index, (rate, n) in enumerate(
            zip(rates, _per_layer("epochs", epochs, count), strict=True), start=1
        )
    ]
    if joint_epochs:
        stages.append(LayerStage(count + 1, count, joint_learning_rate or min(rates), joint_epochs))
    folder = None if backup_dir is None else local_path(backup_dir, "backup_dir")
    backup = None if folder is None else _Backup(folder, model, stages)
    trainable = {layer: layer.trainable for layer in keras_private.all_layers(model)}
    histories = {} if backup is None else backup.restore()
    try:
        for stage in stages:
            if stage.title in histories or not stage.epochs:
                continue
            part = _stage_model(model, stage, trainable)
            part.stage = stage
            part.compile(_with_rate(template, stage.learning_rate))
            watch = [] if backup is None else [backup.callback(stage)]
            history = part.fit(
                x, y, epochs=stage.epochs, callbacks=[*callbacks, *watch], **kwargs
            ).history
            histories[stage.title] = {k: [float(v) for v in vs] for k, vs in history.items()}
            if backup is not None:
                backup.save(histories)
    finally:
        for layer, flag in trainable.items():
            layer.trainable = flag
    if backup is not None:
        backup.remove()
    return histories


def _stage_model(model: Any, stage: LayerStage, trainable: dict[Any, bool]) -> Any:
    for layer, flag in trainable.items():
        layer.trainable = flag
    part = model if stage.joint else model.layer_stage(stage.layer)
    return keras_private.twin(model) if part is model else part


def _with_rate(template: keras.optimizers.Optimizer, rate: float) -> keras.optimizers.Optimizer:
    """A new optimizer with the settings of another and a learning rate of its own."""
    return type(template).from_config({**template.get_config(), "learning_rate": rate})


def _per_layer(name: str, values: Any, count: int) -> list[Any]:
    listed = list(values) if isinstance(values, Sequence) else [values] * count
    if len(listed) != count:
        raise ValueError(f"{name} has {len(listed)} entries for {count} layers: {values!r}")
    smallest = 0 if name == "epochs" else 1e-300
    if any(not isinstance(v, int | float) or not v >= smallest for v in listed):
        raise ValueError(f"{name} must be numbers from {smallest:g}, got {values!r}")
    return listed


class _Backup:
    """Weights and histories of the finished stages, and Keras's backup of the running one."""

    def __init__(self, folder: Path, model: Any, stages: list[LayerStage]):
        self.folder = folder
        self.model = model
        self.plan = [list(stage) for stage in stages]
        if writes_files(model.distribute_strategy):
            claim(folder, "backups of layer-wise training")

    @property
    def _record(self) -> Path:
        return self.folder / "finished.json"

    def restore(self) -> dict[str, Any]:
        """The histories of the stages that are done; their weights go into the model."""
        if not self._record.exists():
            return {}
        record = read_json(self._record)
        if record["plan"] != self.plan:
            raise ValueError(
                f"{self.folder} holds the backup of another run (stages {record['plan']}, now "
                f"{self.plan}); remove it or choose another folder"
            )
        try:
            self.model.load_weights(self.folder / record["weights"])
        except ValueError as error:
            raise ValueError(
                f"{self.folder} holds the backup of another model, which cannot be restored; "
                f"remove it, or choose another folder. {error}"
            ) from error
        return record["histories"]

    def callback(self, stage: LayerStage) -> keras.callbacks.Callback:
        """Backs up the stage after every epoch."""
        return Backup(self.folder / f"stage-{stage.layer}")

    def save(self, histories: dict[str, Any]) -> None:
        """Keep the weights after a stage; the record changes last, so a kill leaves the old one."""
        if not writes_files(self.model.distribute_strategy):
            return
        weights = f"after-{len(histories)}.weights.h5"
        self.model.save_weights(self.folder / weights, overwrite=True)
        record = {"plan": self.plan, "weights": weights, "histories": histories}
        write_json(self._record, record)

    def remove(self) -> None:
        """Delete all backups, and nothing else."""
        if writes_files(self.model.distribute_strategy):
            counts = range(1, len(self.plan) + 1)
            stages = [f"stage-{number}/{name}" for number in counts for name in NAMES]
            weights = [f"after-{number}.weights.h5" for number in counts]
            release(self.folder, [self._record.name, *weights, *stages])
