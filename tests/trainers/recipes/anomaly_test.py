import pytest

from trainers.recipes.anomaly import Detection, default_detection, recipe


@pytest.mark.parametrize("objective", [None, "score-matching"])
def test_the_papers_sign_brings_the_papers_setting(objective):
    printed = recipe("ecg5000", "paper", "delvm", objective, "as_printed")
    assert printed.model_settings == {"units": [2048], "normalization": "minmax"}
    assert (printed.learning_rate, printed.batch_size, printed.epochs) == (1e-3, 100, 10)
    assert "trace" not in printed.objective_settings
    assert default_detection("ecg5000", "paper", "delvm", objective, "as_printed") == Detection()
    assert recipe("ecg5000", "paper", "delvm", objective).model_settings["units"] != [2048]


def test_a_default_objective_and_its_name_mean_the_same():
    for protocol in ("standard", "paper"):
        unnamed = default_detection("ecg5000", protocol, "delvm", None)
        assert unnamed == default_detection("ecg5000", protocol, "delvm", "score-matching")
        assert unnamed != Detection()


def test_what_was_not_tuned_is_one_plain_model():
    assert default_detection("digits", "one-vs-rest", "delvm", None) == Detection(1, 1.0)
    assert default_detection("ecg5000", "standard", "dbm", None) == Detection(1, 1.0)


def test_the_names_of_detectors():
    method = "SM-DELVM, energy"
    assert Detection().name(method) == "SM-DELVM, energy"
    assert Detection(power=2.0).name(method) == "SM-DELVM, energy, power 2"
    assert Detection(5).name(method) == "SM-DELVM, energy, ensemble of 5"
    assert Detection(3, 2.5).name(method) == "SM-DELVM, energy, ensemble of 3, power 2.5"
