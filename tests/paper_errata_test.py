"""What the paper's heartbeat experiment rests on (its signs: objectives/score_matching_test.py)."""

import warnings

import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.catalog import Specification
from delvm_tf.detection.baselines import DistanceToMean
from delvm_tf.objectives.score_matching import PrintedSignWarning
from trainers.experiments.anomaly import calibrate, row


@pytest.fixture(scope="module")
def beats():
    return dv.datasets.load("ecg5000", protocol="paper", seed=0)


def trained(beats, sign="corrected", **training):
    """The paper's one-layer model on [0, 1] inputs."""
    specification = Specification(
        "delvm", "score-matching", {"units": (512,), "normalization": "minmax"}, {"sign": sign},
        **training,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrintedSignWarning)
        return specification.train(beats.x_train, seed=0)


def scored(model, beats):
    detector = dv.AnomalyDetector(model, threshold="mean_std")
    calibrate(detector, beats)
    return row("", 0, beats, detector.anomaly_score(beats.x_test), detector.threshold_, 0.0)


@pytest.mark.slow
def test_the_printed_objective_lives_on_stopping_early(beats):
    """Its loss falls for ever, and the detector is gone with ten times the learning rate."""
    stopped = scored(trained(beats, "as_printed", learning_rate=1e-3), beats)
    assert stopped["f1"] > 0.8
    gone = scored(trained(beats, "as_printed", learning_rate=1e-2), beats)
    assert gone["f1"] < 0.5


def test_on_unit_inputs_the_corrected_objective_learns_the_distance_to_the_mean_at_best(beats):
    """No direction has a second moment above 1 around the mean, so that nothing else is left."""
    model = trained(beats, learning_rate=1e-3)
    baseline = DistanceToMean().fit(beats.x_train)
    ours = np.asarray(model.reconstruction_error(beats.x_test))
    theirs = -baseline.score_samples(beats.x_test)
    ranks = [np.argsort(np.argsort(scores)) for scores in (ours, theirs)]
    assert np.corrcoef(*ranks)[0, 1] > 0.9
    assert abs(scored(model, beats)["f1"] - scored(baseline, beats)["f1"]) < 0.05


def test_the_papers_positives_are_the_normal_rhythm(beats):
    """560 of them, which the printed recalls are whole shares of, as 440 would not give."""
    assert (beats.y_test == 1).sum() == 560
    assert len(beats.x_train) == 1639
    for recall in (99.46, 90.18, 91.43):
        assert round(100 * round(recall / 100 * 560) / 560, 2) == recall
        assert round(100 * round(recall / 100 * 440) / 440, 2) != recall
    standard = dv.datasets.load("ecg5000", protocol="standard", seed=0)
    assert "normal rhythm" in beats.class_names[1]
    assert standard.class_names[0] == "normal rhythm"
