"""No program begins to work where somebody else's files are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGE = ("anomaly_patches", "features", "one_vs_rest", "patches")  # which read large data first
PROGRAMS = [
    "trainers/anomaly.py", "trainers/compare.py", "trainers/density.py", "trainers/paper.py",
    "trainers/train.py", "tuning/search.py",
    *(pytest.param(f"trainers/{name}.py", marks=pytest.mark.slow) for name in LARGE),
]  # fmt: skip
ARGUMENTS = {"paper.py": ("fig7", "--scale", "smoke")}


@pytest.mark.parametrize("where", ["the folder", "a link to it", "an address"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_users_folder_is_refused(program, where, run_here, tmp_path, require_data):
    name = Path(program).name
    if name.removesuffix(".py") in LARGE:
        require_data("fashion_mnist" if name == "features.py" else "cifar10")
    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    output = {"the folder": theirs, "a link to it": tmp_path / "link", "an address": "gs://b/m"}
    (tmp_path / "link").symlink_to(theirs)
    arguments = ARGUMENTS.get(name, ())
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
