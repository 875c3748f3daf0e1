import argparse
import csv
import io

from rich.console import Console

from delvm_tf.catalog import Specification
from tuning import search
from tuning.trials import Trial, failures, reason_in, short, varying

SPECIFICATION = Specification("delvm", "score-matching")
LONG = (
    "ValueError: units must be positive whole numbers, got [0, 128, 128]; give the widths of the "
    "layers from the data upwards\n\nArguments received:\n  | units = [0, 128, 128]"
)


def trial(number, figure, reason="", **values):
    common = {"model": "delvm", "learning_rate": 0.00024177620197155197 * (1 + number)}
    return Trial(number, figure, {**common, **values}, SPECIFICATION, reason)


TRIALS = [
    *(trial(k, 0.9 - k / 100, units=f"{2**k}-{2**k}", epochs=10) for k in range(6)),
    trial(6, 0.5, units="8", epochs=10, k=3, activation="softplus" * 8),
    trial(7, None, LONG, units="0", epochs=10),
    trial(8, None, LONG, units="0-128", epochs=10),
    trial(9, None, "TrainingDiverged: the loss is nan", units="9", epochs=10, k=1),
]


def test_the_whole_reason_is_found_in_a_traceback():
    message = f"Traceback ...\nkeras_tuner.errors.FailedTrialError: {LONG}\n"
    assert reason_in(message) == LONG
    assert reason_in(None) == "unknown"


def test_a_short_reason_is_one_line():
    assert short(LONG) == "ValueError: units must be positive whole numbers, got [0, 128, 128]; ..."
    assert len(short("x" * 500)) == 75
    assert short("") == ""


def test_failures_are_one_line_for_each_reason():
    first, second = failures(TRIALS)
    assert first.startswith("2 failed (trial 7, 8): ValueError: units must be")
    assert second == "1 failed (trial 9): TrainingDiverged: the loss is nan"


def test_only_settings_that_vary_are_shown_and_those_of_most_trials_first():
    frame = varying(TRIALS, "auroc")
    assert list(frame.columns) == ["trial", "auroc", "learning_rate", "units", "k", "activation"]
    assert frame["learning_rate"][0] == "0.000242"


def test_a_report_has_one_line_for_each_trial_and_all_of_a_failure_in_the_file(tmp_path):
    args = argparse.Namespace(output=tmp_path, objective="auroc", space="ecg5000", seed=0)
    console = Console(width=80, file=io.StringIO())
    ranking = search.report(args, TRIALS, console)
    assert [found.number for found in ranking] == list(range(7))
    said = console.file.getvalue().splitlines()
    assert len(said) < 7 + 13  # lines around the table, its heading, the failures, the file
    assert sum(" 0.8" in line or " 0.9" in line or " 0.5" in line for line in said) == 7
    assert "No room here for: activation." in said
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    assert rows["7"]["failed"] == LONG
    assert float(rows["0"]["learning_rate"]) == TRIALS[0].values["learning_rate"]
    lines = (tmp_path / "trials.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == 2 + len(TRIALS)
    assert "units = [0, 128, 128]" in next(line for line in lines if line.startswith("| 7 "))
    rate = f"| {TRIALS[0].values['learning_rate']:.3g} |"
    assert rate in next(line for line in lines if line.startswith("| 0 "))
