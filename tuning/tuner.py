"""KerasTuner with a `Specification` as what is tuned."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.catalog import Specification
from delvm_tf.datasets import Dataset
from delvm_tf.storage.ownership import write_text
from delvm_tf.storage.paths import local_path
from delvm_tf.training.divergence import TrainingDiverged
from trainers.experiments.features import as_inputs
from tuning.measures import MEASURES
from tuning.service import role
from tuning.space import Space

TUNERS = ("random", "bayesian", "hyperband", "grid")
FAILURES = (TrainingDiverged, ValueError, TypeError, tf.errors.OpError, ArithmeticError)


def takes_images(spec: Specification) -> bool:
    """Whether the model has convolutions; others see images as vectors."""
    return bool(spec.model_settings.get("filters"))


def fit_specification(spec: Specification, data: Dataset, seed: int) -> Any:
    """The model trained on the training part."""
    return spec.train(as_inputs(data.x_train, takes_images(spec)), seed)


def make_tuner(
    space: Space, data: Dataset, tuner: str, measure: str, trials: int, seed: int, folder: Path
) -> Any:
    """A KerasTuner tuner whose trials train a `Specification` and measure it on `data`'s test part.

    State is kept in `folder`, from where the same search goes on. A trial that diverges or cannot
    be is recorded as failed, with the reason, and the search goes on. With `"hyperband"` a model
    that is promoted is trained anew for more epochs; `trials` does not bound it.

    Args:
        space: what is searched over.
        data: from `Dataset.validation_split`.
        tuner: one of `TUNERS`.
        measure: one of `MEASURES`.
        trials: how many; for a grid at most.
        seed: of the search and of the models.
        folder: for the state, on this machine.

    Raises:
        ImportError: without KerasTuner.
        ValueError: for an unknown tuner or measure, or a folder that is an address.
    """
    if tuner not in TUNERS:
        raise ValueError(f"unknown tuner {tuner!r}; expected one of {', '.join(TUNERS)}")
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}; expected one of {', '.join(MEASURES)}")
    try:
        import keras_tuner as kt
    except ImportError as error:
        raise ImportError(
            "a search needs KerasTuner: python -m pip install 'delvm_tf[tuning]'"
        ) from error

    class SpecificationTuner(kt.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any) -> float:
            values = trial.hyperparameters.values
            spec = _with_epochs(space.specification(values), values.get("tuner/epochs"))
            try:
                model = fit_specification(spec, data, seed)
                figure = MEASURES[measure].function(model, data)
                if not np.isfinite(figure):
                    raise ValueError(f"the {measure} is {figure}")
            except FAILURES as error:
                raise kt.errors.FailedTrialError(f"{type(error).__name__}: {error}") from error
            log_trial(folder / "tensorboard" / trial.trial_id, trial.trial_id, values,
                      {measure: figure})  # fmt: skip
            return figure

    kt.src.utils.save_json = _write_whole
    kt.src.config.DEBUG = False  # or it writes the traceback of every trial that fails
    oracle = _oracle(kt, space, tuner, measure, trials, seed)
    oracle.verbose = 0
    folder = local_path(folder, "the folder of the search")
    with contextlib.redirect_stdout(None):  # KerasTuner prints where it goes on
        made = SpecificationTuner(oracle, space.declare, str(folder), "trials")
    if role() != "worker" and Path(oracle._get_oracle_fname()).exists():
        oracle.reload()  # KerasTuner does so only for a process of the same name
    # A trial that had finished when the search was killed need not be tried again.
    oracle._retry_queue = [
        name for name in oracle._retry_queue if oracle.trials[name].status == "RUNNING"
    ]
    return made


def _oracle(kt: Any, space: Space, tuner: str, measure: str, trials: int, seed: int) -> Any:
    common = {
        "objective": kt.Objective(measure, MEASURES[measure].direction),
        "seed": seed, "max_retries_per_trial": 0, "max_consecutive_failed_trials": 10**6,
    }  # fmt: skip
    if tuner == "hyperband":
        return kt.oracles.HyperbandOracle(max_epochs=30, factor=3, **common)
    kinds = {
        "random": kt.oracles.RandomSearchOracle,
        "bayesian": kt.oracles.BayesianOptimizationOracle,
        "grid": _grid_oracle(kt, space.grid() if tuner == "grid" else []),
    }
    return kinds[tuner](max_trials=trials, **common)


def _grid_oracle(kt: Any, points: list[dict[str, Any]]) -> Any:
    """An oracle that tries the points in turn, also after it was stopped; KerasTuner's forgets."""

    class GridOracle(kt.Oracle):
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            if int(trial_id) >= len(points):
                waiting = len(self.ongoing_trials) > 0
                return {"status": "IDLE" if waiting else "STOPPED", "values": None}
            return {"status": "RUNNING", "values": points[int(trial_id)]}

    return GridOracle


def _write_whole(path: str, state: Any) -> str:
    """Write KerasTuner's state so that a kill leaves the old file or the new, not half of one."""
    text = json.dumps(state)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), text)
    return text


def _with_epochs(spec: Specification, epochs: int | None) -> Specification:
    return spec if epochs is None else dataclasses.replace(spec, epochs=int(epochs))


def log_trial(folder: Path, name: str, values: dict[str, Any], figures: dict[str, float]) -> None:
    """Write a trial for TensorBoard's page of hyperparameters, if TensorBoard is installed."""
    try:
        from tensorboard.plugins.hparams import api
    except ImportError:
        return
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        api.hparams(values, trial_id=name)
        for figure, value in figures.items():
            tf.summary.scalar(figure, value)
