import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "trainers" / "score_beam.py"
NEEDED = ("--model", "m", "--input", "*.csv", "--output", "s")


def test_without_beam_it_says_what_to_install(run_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    result = run_here(PROGRAM, *NEEDED, "--", "--runner", "FlinkRunner")
    assert result.returncode == 1
    assert "pip install 'delvm_tf[beam]'" in result.stdout


def test_a_mistyped_option_does_not_go_to_beam(run_here):
    assert run_here(PROGRAM, *NEEDED, "--skip-damagde").returncode == 2
