"""No program begins to work where somebody else's files are."""

import re
from pathlib import Path

import pytest

import delvm_tf as dv

ROOT = Path(__file__).parents[2]
PROGRAMS = [
    "trainers/anomaly.py", "trainers/anomaly_patches.py", "trainers/compare.py",
    "trainers/density.py", "trainers/features.py", "trainers/generate.py",
    "trainers/one_vs_rest.py", "trainers/paper.py", "trainers/patches.py", "trainers/train.py",
    "tuning/search.py",
]  # fmt: skip
ARGUMENTS = {"paper.py": ("fig7", "--scale", "smoke")}


@pytest.mark.parametrize("where", ["the folder", "a link to it", "an address"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_users_folder_is_refused(program, where, run_here, tmp_path, monkeypatch):
    """Before any data are read."""
    monkeypatch.setattr(dv.datasets, "load", None)
    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    output = {"the folder": theirs, "a link to it": tmp_path / "link", "an address": "gs://b/m"}
    (tmp_path / "link").symlink_to(theirs)
    arguments = ARGUMENTS.get(Path(program).name, ())
    result = run_here(ROOT / program, *arguments, "--output", str(output[where]))
    assert result.returncode == 1, result.stdout + result.stderr
    message = "path of this machine" if where == "an address" else r"thesis\.tex"
    assert re.search(message, result.stdout), result.stdout + result.stderr
    assert [p.name for p in theirs.iterdir()] == ["thesis.tex"]
    left = {"thesis", "link", "saved_models"}
    assert {p.name for p in tmp_path.iterdir()} <= left


def test_cleaning_the_checkout_keeps_results():
    (recipe,) = re.findall(r"^clean:\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert not {"runs", "results", "saved_models"} & set(recipe.split())
