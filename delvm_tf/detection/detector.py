"""A scikit-learn outlier detector around any model that scores."""

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import keras
import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from delvm_tf.catalog.recipe import Recipe
from delvm_tf.datasets.tables import TableFiles
from delvm_tf.detection import fitting, validation
from delvm_tf.detection.conformal import raised, selected
from delvm_tf.detection.criteria import STREAMS, criterion_function, resolved_criterion
from delvm_tf.detection.criterion import Criterion, Decision, InPython, Scores, anomaly_function
from delvm_tf.detection.explanation import Explanation, by_rows, explanation_function
from delvm_tf.detection.images.image_detector import ImageDetector, are_images
from delvm_tf.detection.labels import NO_CLASSES, read_labels
from delvm_tf.detection.levels.level_detector import LevelDetector
from delvm_tf.detection.parts import ArrayParts, FileParts, Parts, StreamParts
from delvm_tf.detection.registry import register
from delvm_tf.detection.table_rows import TableRows, read_if_small
from delvm_tf.detection.thresholds import THRESHOLDS, as_served, best_f1, checked_threshold
from delvm_tf.inputs import columns
from delvm_tf.inputs.batches import stream_names
from delvm_tf.metrics.anomaly import auroc
from delvm_tf.models.copies import full_copy, untrained_copy
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.schema import arrow
from delvm_tf.schema.learning import Learner, all_refused

NUMBER, BY_HAND = "number", "set by hand"  # rules beside those of THRESHOLDS


@register()
class AnomalyDetector(OutlierMixin, BaseEstimator):
    """Calls an example abnormal when its anomaly score exceeds a threshold.

    The anomaly score is the model's reconstruction error or energy. Signs follow scikit-learn's
    outlier detectors (`IsolationForest`, `OneClassSVM`): `score_samples` and `decision_function`
    are higher for more normal examples, `predict` is +1 for normal and −1 for abnormal, and so are
    labels. `anomaly_score` and `is_anomaly` say the same the other way round.

    Abnormal is what has an anomaly score > `threshold_`; a score at the threshold is normal. Where
    finite inputs overflow to a score that is NaN or infinite, of either sign, the model cannot say
    how likely they are: such rows get the anomaly score +∞ and are abnormal, and those beside them
    are scored as ever. Scores and threshold are float32 numbers, as they are where they are served,
    so that a SavedModel, ONNX file or pipeline decides the same; only those of an estimator that
    scores in Python alone, and cannot be exported, are float64.

    As with all estimators of scikit-learn, `fit` does not change its arguments and starts anew each
    time: without a model, or with `epochs` > 0, a new one of the same architecture is trained
    (`model_`), on all normal rows but a share `holdout`, whose scores set the threshold. With
    `epochs=0`, for models that are trained already, the model serves as it is.

    Args:
        model: anything with `reconstruction_error(x)` or `energy(x)`, a `Criterion`, or a
            scikit-learn outlier detector with `score_samples(x)`. A `Recipe` trains its models;
            the rule of the threshold remains the argument below. None for a `LevelDetector` of
            rows of a table, an `ImageDetector` of images (arrays with sides of 8 or more, and
            perhaps channels), and for other arrays or with a `criterion` the DELVM of
            `dv.catalog.default_recipe()`.
        threshold: a number; or a rule: `"contamination"`; `"mean_std"`, mean plus one standard
            deviation of the normal scores; or `"best_f1"`, the best F1 on the labelled data given
            to `fit`.
        criterion: the method of the model that gives the anomaly score,
            `"reconstruction_error"`, `"energy"` or `"score_samples"` (minus it); the first the
            model has, by default, and the energy without a model.
        contamination: the false-alarm rate of the threshold `"contamination"`: the probability
            that a new normal row is called abnormal is at most this, on average over the rows that
            set the threshold, if it is exchangeable with them.
        epochs: how often `fit` shows the model each row before it sets the threshold; None for 0,
            or of a recipe for what it says. Without a model None is 1,000 steps of 256 rows, and
            with a `criterion` 30 epochs, but no more than a million rows in all; for images it
            plays no part.
        batch_size: examples per training step; a recipe that is given has its own.
        warm_start: go on from the weights that `model_` has, or, at the first `fit`, from those of
            a copy of `model`, instead of starting anew.
        holdout: share of the normal rows that sets the threshold and is not trained on; with 0 all
            rows do both, and there are no p-values. Of a `tf.data.Dataset` a hash of their values
            chooses the rows. With `epochs=0` all rows set the threshold; 0 says that the model was
            trained on them.
        random_state: seed of what is held out, and without a model of its weights and training.
            Weights of a model come from its own seeds, or `keras.utils.set_random_seed`.
        verbose: progress of training, as in Keras: 0 for none, 1 for a bar.
        dates: of a table: whether dates and times are refused, or become seconds; see
            `learn_schema`.
        units: of columns of numbers of a table, by name, for those who read the schema and the
            model card: `{"heat": "°C"}`.

    Attributes:
        model_: the model that scores: `model` itself, or the one trained.
        threshold_: the threshold, in units of the anomaly score. It may be set, and then decides
            everywhere: here, in exported models and on their cards.
        threshold_rule_: where it comes from: a rule, `"number"`, or `"set by hand"`.
        offset_: minus the threshold, as scikit-learn has it; setting one sets the other.
        criterion_: the criterion in use.
        normal_scores_: those of the normal examples that set the threshold, (n,), ascending.
        mean_: of the examples given to `fit` as an array, (...).
        schema_: of a table with text or missing cells, what its columns are and the numbers that
            they become, which the model was trained on; else None.
        n_features_in_: number of values per example, or columns of a table.
        feature_names_in_: names of the columns, where they have any.

    Examples:
        >>> detector = dv.AnomalyDetector(contamination=0.1).fit(x)
        >>> far = np.full((1, 6), 9.0, "float32")
        >>> detector.is_anomaly(far), detector.predict(far)
        (array([ True]), array([-1]))
        >>> detector.p_value(far)  # 1/(n + 1) with n rows that set the threshold
        array([0.0714...])
        >>> worth_a_look = detector.select(x, fdr=0.1)
    """

    def __init__(
        self,
        model: Any = None,
        threshold: str | float = "contamination",
        criterion: str | None = None,
        contamination: float = 0.01,
        epochs: int | None = None,
        batch_size: int = 100,
        warm_start: bool = False,
        holdout: float = 0.2,
        random_state: int | None = 0,
        verbose: Any = 0,
        dates: Literal["refuse", "numbers"] = "refuse",
        units: Mapping[str, str] | None = None,
    ):
        self.model = model
        self.threshold = threshold
        self.criterion = criterion
        self.contamination = contamination
        self.epochs = epochs
        self.batch_size = batch_size
        self.warm_start = warm_start
        self.holdout = holdout
        self.random_state = random_state
        self.verbose = verbose
        self.dates = dates
        self.units = units

    def fit(
        self, X: Any, y: Any = None, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> "AnomalyDetector":
        """Set the threshold on X, after training a model on a part of it if there is one to train.

        Args:
            X: examples, (n, ...) in raw units; all normal unless labels say otherwise. Tables may
                have text and missing cells where a model is trained; see `learn_schema`. Files of
                tables, `dv.datasets.open_table(...)`, may be larger than memory and have labels.
                Without labels a finite, batched `tf.data.Dataset` too, if the model takes one.
            y: labels, +1 for normal and −1 for abnormal as in scikit-learn; needed by `"best_f1"`
                only. Abnormal rows are left out of training, and a `LevelDetector` takes what
                equals a normal one for normal. 0 for normal and 1 for abnormal is
                understood too, with a warning: scikit-learn's scorers (`scoring="roc_auc"`) would
                read such labels the other way round, and are then refused. Other numbers are
                ignored, with a warning.
            callbacks: of Keras, for the training of a model of this library; all of it may be one
                epoch to them.

        Raises:
            TypeError: for a stream of data, if the model takes arrays only.
            RefusedColumnsError: for columns of a table that cannot be used, all of them at once;
                see `learn_schema`.
            ValueError: for an unknown threshold or score, labels of the wrong length or of both
                kinds, too few examples, or scores that are not finite. The detector stays as it
                was before.
        """
        if isinstance(X, TableFiles):
            self._check_arguments()
        before = dict(vars(self))
        try:
            with all_refused(X, self.dates):
                rows, y = read_if_small(X, y) if isinstance(X, TableFiles) else (arrow.known(X), y)
                return self._fit(rows, y, callbacks)
        except BaseException:  # a detector half of the old data and half of the new would mislead
            self.__dict__ = before
            raise

    def _fit(self, X: Any, y: Any, callbacks: Any) -> "AnomalyDetector":
        self._check_arguments()
        seed = _drawn() if self.random_state is None else int(self.random_state)
        parts = self._parts(X, y, seed)
        model = self.model
        if self._epochs:
            with columns.naming(None if parts.schema is None else parts.schema.outputs):
                model = self._trained(parts, seed, callbacks)
        name = self._criterion_of(model)
        function = criterion_function(model, name)
        if name == "score_samples" and isinstance(parts, ArrayParts):
            parts.check_agreement(model)
        scores = _numbers(Decision(function, math.inf).scores(parts.known))
        if not len(scores):
            raise ValueError("no rows were held out; give more, or holdout=0")
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{np.sum(~np.isfinite(scores))} of {len(scores)} anomaly scores are NaN or "
                f"infinite; check the model's training and the inputs' range"
            )
        abnormal = parts.abnormal
        if self.threshold == "best_f1":
            value = best_f1(scores, abnormal, self.contamination, parts.weight)
        elif isinstance(self.threshold, str):
            value = THRESHOLDS[self.threshold](scores, abnormal, self.contamination)
        else:
            value = self.threshold
        self._threshold = as_served(checked_threshold(value), function)
        self.threshold_rule_ = self.threshold if isinstance(self.threshold, str) else NUMBER
        self.model_, self._criterion = model, name
        self.__dict__.pop("mean_", None)
        mean = parts.mean
        if mean is not None:
            self.mean_ = mean
        elif isinstance(model, LevelDetector):
            self.mean_ = model.views_.mean
        elif isinstance(model, ImageDetector):
            self.mean_ = model.mean_
        self.normal_scores_ = np.sort(scores if abnormal is None else scores[~abnormal])
        self.schema_ = parts.schema
        if parts.schema is not None:
            self.feature_names_in_ = np.asarray(parts.schema.names, object)
            self.n_features_in_ = len(parts.schema.names)
        self._seen = not self.holdout
        self._zero_one = parts.labels is not None and parts.labels.zero_one
        self._only_ones = parts.labels is not None and parts.labels.only_ones
        return self

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Anomaly score of each example, (n,); higher is more abnormal, +∞ where it overflows.

        A detector that is not fitted gives the scores of its model, unless it is to train one.
        """
        fitted = self.__sklearn_is_fitted__()
        decision = self.decision_
        if isinstance(X, TableFiles):
            return np.concatenate([*self._scores_of_files(X), np.zeros(0)])
        X = arrow.known(X)
        if fitted and self.schema_ is not None:
            X = self.schema_.encode(X)
        elif not isinstance(X, STREAMS):
            checker = self if fitted else AnomalyDetector(self.model)
            array = validation.checked(checker, X, reset=not fitted)
            X = validation.with_names(X, array)
            if not fitted and self.criterion_ == "score_samples":
                validation.check_agreement(self.model, X, array)
        elif fitted and (names := stream_names(X)) is not None:
            known = getattr(self, "feature_names_in_", None)
            columns.check_names(names, known, type(self).__name__)
        return _numbers(decision.scores(X))

    def _scores_of_files(self, table: TableFiles) -> Iterator[np.ndarray]:
        """Anomaly scores of some rows at a time."""
        schema = getattr(self, "schema_", None)
        names = getattr(self, "feature_names_in_", table.names)
        known = table.with_kinds(schema.kinds if schema else dict.fromkeys(names, "number"))
        for chunk in known.batches():
            try:
                yield self.anomaly_score(chunk.table)
            except ValueError as error:
                raise ValueError(f"{chunk.file}, rows from {chunk.first} on: {error}") from error

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the anomaly score, (n,); higher is more normal, as in scikit-learn."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` − `offset_`, (n,); negative for abnormal examples."""
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """+1 for normal and −1 for abnormal examples, (n,)."""
        return np.where(self.is_anomaly(X), -1, 1)

    def is_anomaly(self, X: Any) -> np.ndarray:
        """Whether each example is abnormal, (n,)."""
        check_is_fitted(self)
        return self.anomaly_score(X) > self.threshold_

    def explain(self, X: Any) -> Explanation:
        """How much each value contributes to the anomaly score; see `explanation_function`.

        Args:
            X: examples, (n, ...).

        Raises:
            NotExplainedError: if the score has no gradient, as that of trees.
            ValueError: if there are no examples.
        """
        check_is_fitted(self)
        if self.schema_ is not None:
            array = self.schema_.encode(X)
        else:
            array = validation.checked(self, arrow.known(X), reset=False)
        return by_rows(self.explanation_, array)

    @property
    def explanation_(self) -> Callable[[Any], Explanation]:
        """The function behind `explain`, of rows and of tensors of a graph."""
        mean = getattr(self, "mean_", None)
        if mean is None:  # of a stream
            with tf.init_scope():  # this may be asked for in a graph
                mean = self.model_.normalization.shift.numpy()
        return explanation_function(self.decision_, self.model_, self._criterion, mean)

    def p_value(self, X: Any) -> np.ndarray:
        """(1 + #{i: sᵢ ≥ s}) / (m + 1) of each example's score s among m normal scores sᵢ, (n,).

        The conformal p-value: that of a new normal example is at most α with a probability of at
        most α, if it is exchangeable with the rows that set the threshold. Those are the rows held
        out; with `epochs=0` all that `fit` was given, which the model must not have been trained
        on; `holdout=0` says that it was. None is smaller than 1/(m + 1). Scores that differ by
        rounding count as equal.

        Raises:
            ValueError: with `holdout=0`.
        """
        check_is_fitted(self)
        decision = self.decision_
        if decision.reference is None:
            raise ValueError(
                "p-values need normal rows that the model was not trained on: fit with holdout > 0"
            )
        scores = tf.constant(self.anomaly_score(X), decision.dtype)
        return np.asarray(decision.p_values(scores))

    def select(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Which examples of a batch to call abnormal, (n,) bool, by Benjamini and Hochberg's rule.

        Of those selected a share of at most `fdr` is expected to be normal, if the normal ones are
        independent draws like the rows that set the threshold. Source: Bates et al. (2023), Testing
        for outliers with conformal p-values, theorem 2.

        Raises:
            ValueError: for a rate outside (0, 1), or with `holdout=0`.
        """
        return selected(self.p_value(X), fdr)

    def score(self, X: Any, y: Any = None) -> float:
        """AUROC of the anomaly scores: how often an abnormal example scores above a normal one.

        It is what `cross_val_score` and `GridSearchCV` use without `scoring`, and what
        `scoring="roc_auc"` gives for labels +1 and −1. The threshold plays no part. Stratify the
        folds (`cv=StratifiedKFold()`), so that each has both classes.

        Args:
            X: examples, (n, ...).
            y: labels, +1 for normal and −1 for abnormal, or 0 for normal and 1 for abnormal. Files
                of tables bring theirs along.

        Raises:
            ValueError: without labels of both classes, or for 0 and 1 after a `fit` whose labels
                were nothing but 1.
        """
        check_is_fitted(self)
        if isinstance(X, TableFiles) and y is None:
            y = X.labels()
        scores = self.anomaly_score(X)
        if y is None:
            raise ValueError("score is the AUROC, and needs labels y: +1 normal, -1 abnormal")
        labels = read_labels(y, len(scores))
        abnormal = labels.abnormal
        if labels.zero_one and self._only_ones:
            raise ValueError(
                "fit was given nothing but 1, read as +1 (normal), and these labels are 0 and 1; "
                "give both as +1 (normal) and -1 (abnormal)"
            )
        if abnormal.all() or not abnormal.any():
            raise ValueError(
                f"the AUROC needs normal and abnormal examples, and all {len(abnormal)} are "
                f"{'abnormal' if abnormal.all() else 'normal'}; for cross-validation stratify the "
                f"folds: cv=StratifiedKFold()"
            )
        return auroc(abnormal, scores)

    @property
    def threshold_(self) -> float:
        """The threshold, in units of the anomaly score."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "this AnomalyDetector has no threshold yet; call fit, with threshold=number if it "
                "is known"
            )
        return self._threshold

    @threshold_.setter
    def threshold_(self, value: float) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "a threshold can be set once the detector is fitted; give it as threshold=number, "
                "and call fit"
            )
        self._threshold = as_served(checked_threshold(value), self.decision_.function)
        self.threshold_rule_ = BY_HAND

    @property
    def offset_(self) -> float:
        """Minus the threshold."""
        return -self.threshold_

    @offset_.setter
    def offset_(self, value: float) -> None:
        self.threshold_ = -checked_threshold(value)

    @property
    def decision_(self) -> Decision:
        """The anomaly score and its threshold, as a function of rows and of tensors of a graph.

        Of a detector that is not fitted the threshold is +∞.
        """
        if self.__sklearn_is_fitted__():
            reference = None if self._seen else raised(self.normal_scores_)
            function = criterion_function(self.model_, self._criterion)
            return Decision(function, self._threshold, reference)
        if self._epochs:
            check_is_fitted(self)
        return Decision(criterion_function(self.model, self.criterion_), math.inf)

    @property
    def criterion_(self) -> str:
        """The criterion in use."""
        if self.__sklearn_is_fitted__():
            return self._criterion
        return self._wanted_criterion or resolved_criterion(self.model, None)

    @property
    def _wanted_criterion(self) -> str | None:
        recipe = self._recipe
        return self.criterion if recipe is None else fitting.criterion_of(recipe, self.criterion)

    def _criterion_of(self, model: Any) -> str:
        """That of a model in training; an ensemble of a recipe's has combined several."""
        together = self._recipe is not None and isinstance(model, Criterion)
        return resolved_criterion(model, None if together else self._wanted_criterion)

    @property
    def _recipe(self) -> Recipe | None:
        """The recipe whose models `fit` trains, if there is one."""
        return fitting.DEFAULT if self.model is None else (
            self.model if isinstance(self.model, Recipe) else None
        )  # fmt: skip

    @property
    def _epochs(self) -> int:
        if self.epochs is None:
            return 0 if self._recipe is None else self._recipe.epochs
        return self.epochs

    @property
    def _most_rows(self) -> float:
        """How many rows to train on, counting those of all epochs."""
        return fitting.MOST_ROWS if self.model is None and self.epochs is None else math.inf

    @property
    def classes_(self) -> NoReturn:
        """There are none; an AttributeError says what scorers of scikit-learn want instead."""
        raise AttributeError(NO_CLASSES)

    def __sklearn_tags__(self) -> Any:
        """Tags; once fitted with labels 0 and 1, those of a classifier.

        To scikit-learn these are classes, whose order its scorers ask of `classes_` before they
        use `decision_function` or `predict`: the place to refuse what would be 1 − AUROC.
        """
        tags = super().__sklearn_tags__()
        if getattr(self, "_zero_one", False):
            tags.estimator_type = "classifier"
        return tags

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted detector as a folder, for `dv.load_detector`.

        `detector.json` says what it is made of, with checksums; numbers are in `arrays.npz`, models
        in `.keras` files. The folder appears whole; one that a detector was saved to is replaced.
        Copies and pickles have the same contents.

        Raises:
            NotFittedError: before `fit`.
            TypeError: for what is neither a model nor a detector of this library, such as
                scikit-learn's forests; the message says what can be done.
            FileExistsError: if there is anything else at this path, or the folder was changed.
            OSError: if it cannot be written.
        """
        from delvm_tf.detection import saving

        return saving.save(self, path)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The contents of its files; of one that cannot be saved, its attributes, as usual."""
        from delvm_tf.detection import content

        try:
            return content.detector_of, (content.files_of(self),)
        except content.NotSavableError:
            return super().__reduce_ex__(protocol)

    def __sklearn_is_fitted__(self) -> bool:
        return "_threshold" in vars(self)

    def __sklearn_clone__(self) -> "AnomalyDetector":
        """The same arguments. A model that `fit` does not train keeps what it has learned."""
        arguments = self.get_params(deep=False)
        model = arguments.pop("model")
        copied = {name: clone(value, safe=False) for name, value in arguments.items()}
        keeps = not self._epochs or not hasattr(model, "get_params")
        copied["model"] = full_copy(model) if keeps else clone(model, safe=False)
        return type(self)(**copied)

    def set_params(self, **params: Any) -> "AnomalyDetector":
        """Set arguments by name; `model__name` those of a model that has `set_params`.

        Raises:
            ValueError: for unknown names, or those of a Keras model, whose settings are fixed when
                it is made.
        """
        nested = [name for name in params if name.startswith("model__")]
        model = params.get("model", self.model)
        if nested and not hasattr(model, "set_params"):
            raise ValueError(
                f"{nested[0]!r} cannot be set: a {type(model).__name__} has its settings when it "
                f"is made; set a whole model, in a search {{'model': [model_a, model_b]}}"
            )
        return super().set_params(**params)

    def _check_arguments(self) -> None:
        if isinstance(self.threshold, str):
            if self.threshold not in THRESHOLDS:
                raise ValueError(
                    f"unknown threshold {self.threshold!r}; expected a number or one of "
                    f"{', '.join(THRESHOLDS)}"
                )
        else:
            checked_threshold(self.threshold)
        if not isinstance(self.contamination, numbers.Real) or not 0 < self.contamination < 1:
            raise ValueError(f"contamination must lie between 0 and 1, got {self.contamination!r}")
        if self.dates not in ("refuse", arrow.DATES):
            raise ValueError(f"dates must be 'refuse' or {arrow.DATES!r}, got {self.dates!r}")
        if not isinstance(self.holdout, numbers.Real) or not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be a share from 0 to below 1, got {self.holdout!r}")
        integers = {"epochs": (self._epochs, 0), "batch_size": (self.batch_size, 1)}
        if self.random_state is not None:
            integers["random_state"] = (self.random_state, 0)
        for name, (value, least) in integers.items():
            if not isinstance(value, numbers.Integral) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        if self._recipe is None:
            resolved_criterion(self.model, self.criterion)
        elif not self._epochs:
            raise ValueError("epochs=0 takes a model that is trained already, and there is none")

    def _parts(self, X: Any, y: Any, seed: int) -> Parts:
        """The rows to train on, and those that set the threshold."""
        share = self.holdout if self._epochs else None
        files = isinstance(X, TableFiles)
        if not files and not isinstance(X, STREAMS):
            least = 2 if self._epochs or self.threshold == "mean_std" else 1  # to have a spread
            needed = self.threshold == "best_f1"
            return ArrayParts(
                self, X, y, share, seed, needed, least, dates=self.dates, units=self.units
            )
        if self._recipe is None and not isinstance(self.model, ReconstructionModel):
            raise TypeError(
                f"{type(self.model).__name__} takes arrays only, got {type(X).__name__}; pass an "
                f"array of all rows"
            )
        if not files:
            return StreamParts(self, X, y, share, self.units)
        learner = Learner(self.dates, units=self.units) if self._epochs else None
        return FileParts(self, TableRows(X, share or 0, seed, learner, self._most_rows))

    def _trained(self, parts: Parts, seed: int, callbacks: Any) -> Any:
        """A model trained on the rows for it."""
        given = getattr(self, "model_", self.model) if self.warm_start else self.model
        if self.model is None and self.criterion is None and len(parts.shape) == 1:
            trusted = parts.abnormal is not None
            return fitting.of_levels(
                parts.training, trusted, self.epochs, seed, self.verbose, callbacks
            )
        if self.model is None and self.criterion is None and are_images(parts.shape):
            return fitting.of_images(parts.training, seed)
        if given is None or isinstance(given, Recipe):
            return self._of_recipe(parts, seed, callbacks)
        # A copy: training may fail, and scores and threshold must agree.
        model = full_copy(given) if self.warm_start else untrained_copy(given)
        data = parts.for_learner(model)
        if self._criterion_of(model) == "score_samples":
            return model.fit(data)
        normalization = getattr(model, "normalization", None)
        if hasattr(model, "adapt") and not (self.warm_start and _adapted(normalization)):
            model.adapt(data.rows if isinstance(data, TableRows) else data)
        if not model.compiled:
            model.compile()
        fitting.train(
            model, data, self._epochs, self.batch_size, self.verbose, self._most_rows, callbacks
        )
        return model

    def _of_recipe(self, parts: Parts, seed: int, callbacks: Any) -> Any:
        """The model or ensemble of a recipe, trained."""
        recipe = self._recipe
        assert recipe is not None
        size = self.batch_size if self.model is None else recipe.batch_size
        recipe = dataclasses.replace(recipe, epochs=self._epochs, batch_size=size)
        criterion = fitting.criterion_of(recipe, self.criterion)
        return fitting.of_recipe(
            recipe,
            parts.training,
            parts.shape,
            seed,
            criterion,
            self.verbose,
            callbacks,
            self._most_rows,
        )


@anomaly_function.register
def _(fitted: AnomalyDetector) -> Scores:
    decision = fitted.decision_
    return decision.function if isinstance(decision.function, InPython) else decision.scores


def _drawn() -> int:
    return int(np.random.default_rng().integers(2**31))


def _numbers(scores: tf.Tensor) -> np.ndarray:
    return np.asarray(scores, np.float64)


def _adapted(normalization: Any) -> bool:
    return bool(getattr(normalization, "adapted", False))
