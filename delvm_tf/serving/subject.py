"""What is served: a model, a detector, or a detector of a model."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf

from delvm_tf.detection.criterion import made_of_tensorflow
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.detection.feature_detector import FeatureDetector
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.models.noise_conditional.density import DensityDELVM
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.schema import Schema
from delvm_tf.serving.drift import ScoreHistogram

Outputs = dict[str, tf.Tensor]
DEFAULT = "serving_default"


class Subject(NamedTuple):
    """A model, a fitted detector, or both, ready to be exported.

    Attributes:
        model: whose features and reconstructions are served too, or None.
        detector: whose decisions are served, or None.
        shape: of one input.
        example: a typical input in raw units, the mean of the training data.
        brightest: the greatest typical value.
        columns: names of the columns, or None.
        schema: of the tables whose numbers the inputs are, or None.
    """

    model: ReconstructionModel | None
    detector: AnomalyDetector | None
    shape: tuple[int, ...]
    example: np.ndarray
    brightest: float
    columns: list[str] | None
    schema: Schema | None = None

    @classmethod
    def of(cls, model_or_detector: Any) -> Self:
        """What there is to serve of a model or detector.

        Raises:
            TypeError: if it is neither.
            ValueError: if the model is not built and adapted, or the detector not fitted.
        """
        if isinstance(model_or_detector, AnomalyDetector):
            return cls._of_detector(model_or_detector)
        if isinstance(model_or_detector, ReconstructionModel):
            return cls._of_model(model_or_detector)
        raise TypeError(
            f"expected an energy model, an autoencoder or a fitted AnomalyDetector, got "
            f"{type(model_or_detector).__name__}; wrap an outlier detector: "
            f"dv.AnomalyDetector(detector).fit(x_normal)"
        )

    @classmethod
    def _of_model(cls, model: ReconstructionModel) -> Self:
        if not model.built or not model.normalization.adapted:
            raise ValueError(
                "the model is not ready: call model.adapt(x), and fit, before exporting"
            )
        normalization = model.normalization
        example = brightest = normalization.shift.numpy()
        if normalization.mode == "minmax":
            brightest = example + normalization.scale / normalization.gain.numpy()
        elif normalization.mode == "none":  # which knows no mean
            brightest = np.array(255.0)
        names = model.feature_names_in_
        return cls(
            model, None, example.shape, example, float(brightest.max()),
            None if names is None else [*names],
        )  # fmt: skip

    @classmethod
    def _of_detector(cls, detector: AnomalyDetector) -> Self:
        if not hasattr(detector, "threshold_"):
            raise ValueError("the detector has no threshold yet: call detector.fit(x_normal) first")
        names = getattr(detector, "feature_names_in_", None)
        columns = None if names is None else [str(name) for name in names]
        schema = detector.schema_
        if schema is not None:
            columns = [*schema.outputs]
        if isinstance(detector.model_, ReconstructionModel):
            subject = cls._of_model(detector.model_)
            return subject._replace(
                detector=detector, columns=columns or subject.columns, schema=schema
            )
        mean = detector.mean_
        return cls(None, detector, mean.shape, mean, float(mean.max()), columns, schema)

    def with_schema(self, schema: Schema | None) -> Self:
        """The same with the schema of the tables whose numbers the inputs are, if one is given.

        Raises:
            ValueError: if it makes other numbers of a row.
        """
        if schema is None:
            return self
        if self.shape != (len(schema.outputs),):
            raise ValueError(
                f"the schema makes {len(schema.outputs)} numbers of a row, and the inputs have "
                f"shape {self.shape}; give the schema that encoded the training data"
            )
        return self._replace(schema=schema)

    @property
    def name(self) -> str:
        """What a server calls it where nothing else does."""
        return "detector" if self.model is None else self.model.name

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """The strategy under which the model was made."""
        if self.model is None:
            return tf.distribute.get_strategy()
        return self.model.distribute_strategy

    @property
    def criterion(self) -> str:
        """What gives the scores that the card counts."""
        return "reconstruction_error" if self.detector is None else self.detector.criterion_

    def histogram(self, reference: Any) -> ScoreHistogram | None:
        """Scores of normal training rows; those of the detector's own `fit` without any given."""
        if reference is None:
            kept = getattr(self.detector, "normal_scores_", ())
            return None if len(kept) < 2 else ScoreHistogram.of(kept)
        if self.detector is not None:
            return ScoreHistogram.of(self.detector.anomaly_score(reference))
        assert self.model is not None
        return ScoreHistogram.of(self.model.reconstruction_error(reference))

    def functions(self) -> dict[str, Any]:
        """By signature, functions of raw inputs, (batch, ...) float32, to named outputs."""
        by_name: dict[str, Any] = {DEFAULT: self._default}
        model = self.model
        if model is None:
            source = self.detector.model_ if self.detector is not None else None
            if isinstance(source, FeatureDetector):
                by_name["features"] = lambda x: {
                    "features": tf.cast(_in_graph(source.table, x), tf.float32)
                }
            return by_name
        by_name |= {
            "features": lambda x: {"features": model.features(x)},
            "reconstruction_error": lambda x: {
                "reconstruction_error": model.reconstruction_error(x)
            },
            "reconstruct": lambda x: {"reconstruction": model.reconstruct(x)},
        }
        if isinstance(model, EnergyModel):
            by_name["energy"] = lambda x: {"energy": model.energy(x)}
            by_name["score"] = lambda x: {"score": model.score(x)}
        if isinstance(model, DensityDELVM):
            by_name["log_density"] = lambda x: {"log_density": model.log_density(x)}
        return by_name

    def explain(self, x: tf.Tensor) -> Outputs:
        """`contributions`, `baseline` and, of one model, `reconstruction`."""
        assert self.detector is not None
        contributions, baseline, expected = self.detector.explanation_(x)
        outputs = {"contributions": contributions, "baseline": baseline}
        return outputs if expected is None else {**outputs, "reconstruction": expected}

    def explain_columns(self, x: tf.Tensor, schema: Schema) -> Outputs:
        """`explain` by the columns of tables whose numbers, (batch, outputs), x are.

        `contribution_<input>`, the sum over the numbers of the column; `baseline`; and of one model
        `expected_<input>`, a number or the code of a text.
        """
        found = self.explain(x)
        outputs = {"baseline": found["baseline"]}
        for name, part in zip(schema.inputs, schema.parts(found["contributions"]), strict=True):
            outputs[f"contribution_{name}"] = tf.reduce_sum(part, axis=1)
        if "reconstruction" in found:
            parts = schema.parts(found["reconstruction"])
            for name, column, part in zip(schema.inputs, schema.columns, parts, strict=True):
                outputs[f"expected_{name}"] = column.nearest(part)
        return outputs

    def _default(self, x: tf.Tensor) -> Outputs:
        outputs: Outputs = {}
        scores: Any = None
        if self.model is not None:
            error = self.model.reconstruction_error(x)
            outputs = {"features": self.model.features(x), "reconstruction_error": error}
            if self.criterion == "reconstruction_error":
                scores = error  # computed once
        if self.detector is not None:
            decision = self.detector.decision_
            scores = _in_graph(decision.scores, x) if scores is None else decision.bounded(scores)
            outputs |= decision.of(scores)
        return outputs

    def white(self, given: float | None) -> float | None:
        """The value of a white pixel in raw units, or None if the inputs are no images.

        Without one given: the first of 1, 255 and 65535 that no typical pixel exceeds.
        """
        if len(self.shape) != 3 or self.shape[-1] not in (1, 3):
            if given is not None:
                raise ValueError(
                    f"white is for images (height, width, 1 or 3), and the inputs have shape "
                    f"{self.shape}"
                )
            return None
        if given is not None:
            if not 0 < given < math.inf:
                raise ValueError(f"white must be positive and finite, got {given!r}")
            return float(given)
        return next((white for white in (1.0, 255.0) if self.brightest <= white), 65535.0)


def _in_graph(function: Any, x: tf.Tensor) -> tf.Tensor:
    with made_of_tensorflow(TypeError, "the detector cannot be exported"):
        return function(x)
