"""Metrics of probabilities are refused, since scores are none."""

import keras
import pytest

import delvm_tf as dv

m, losses = keras.metrics, keras.losses


class Derived(keras.metrics.AUC):
    pass


REFUSED = {
    "AUC": m.AUC(), "derived": Derived(), "class": m.Precision, "PR": m.AUC(curve="PR"),
    "BinaryAccuracy": m.BinaryAccuracy(), "Accuracy": m.Accuracy(), "Precision": m.Precision(),
    "Recall": m.Recall(), "at specificity": m.SensitivityAtSpecificity(0.5),
    "at sensitivity": m.SpecificityAtSensitivity(0.5), "at recall": m.PrecisionAtRecall(0.5),
    "at precision": m.RecallAtPrecision(0.5), "counts": m.TruePositives(),
    "F1": m.F1Score(threshold=0.5), "IoU": m.BinaryIoU(), "crossentropy": m.BinaryCrossentropy(),
    "hinge": m.Hinge(), "categorical hinge": m.CategoricalHinge(), "KL": m.KLDivergence(),
    "top k": m.SparseTopKCategoricalAccuracy(), "loss": losses.BinaryCrossentropy(),
    "focal": losses.BinaryFocalCrossentropy(), "dice": losses.Dice(),
    "function": m.binary_accuracy, "loss function": losses.binary_crossentropy,
    "wrapped": m.MeanMetricWrapper(losses.binary_crossentropy, name="mine"),
    "auc by name": "auc", "AUC by name": "AUC", "accuracy by name": "accuracy", "acc": "acc",
    "ce": "crossentropy", "bce": "binary_crossentropy", "hinge by name": "hinge",
}  # fmt: skip


def model():
    return dv.DELVM(dv.networks.ffnn((4,)), normalization="none")


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_what_to_use(kind):
    with pytest.raises(ValueError, match=r"no upper bound.*dv\.metrics\.AUROC\(\)"):
        model().compile(metrics=[REFUSED[kind]])


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize(
    "metrics", [["mse", "auc"], {"output": m.AUC()}, [["mse", m.AUC()]], {"a": ["auc"]}, ("auc",)]
)
def test_wherever_they_hide(argument, metrics):
    with pytest.raises(ValueError, match=f"^{argument}: .*AUC|^{argument}: .*'auc'"):
        model().compile(**{argument: metrics})


@pytest.mark.parametrize(
    "metric",
    [m.Mean(), m.MeanSquaredError(), "mae", m.PearsonCorrelation(), m.LogCoshError(),
     m.MeanMetricWrapper(lambda y, e: e, name="mine"), lambda y, e: e, dv.metrics.AUROC()],
)  # fmt: skip
def test_metrics_of_any_number_are_taken(metric):
    model().compile(metrics=[metric])
