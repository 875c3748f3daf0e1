"""What it takes to add something, as the pages on extending show it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [(ROOT / f"docs/howto/{name}.md").read_text() for name in ("extend", "extend-data")]
SECTION = re.compile(r"^## An? (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {name: text for page in PAGES for name, text in SECTION.findall(page)}
ADDITIONS = ("model", "objective", "score", "data set", "recipe")


def diff(addition):
    (found,) = re.findall(r"```diff\n(.*?)```", SECTIONS[addition], re.DOTALL)
    return found


def changes(addition):
    """By file, whether it is new, and the lines that are removed and added."""
    found = {}
    for part in re.split(r"^--- ", diff(addition), flags=re.MULTILINE)[1:]:
        old, new, _, *lines = part.splitlines()
        signs = [line[:1] for line in lines]
        counts = (signs.count("-"), signs.count("+"))
        found[new.removeprefix("+++ b/")] = (old == "/dev/null", counts)
    return found


@pytest.mark.parametrize("addition", ADDITIONS)
def test_it_takes_a_file_its_test_and_at_most_one_line(addition):
    new = [name for name, (is_new, _) in changes(addition).items() if is_new]
    own = [name for name in new if not name.startswith("tests/")]
    registered = [counts for is_new, counts in changes(addition).values() if not is_new]
    assert len(own) == 1
    assert len(new) <= 2
    assert registered in ([], [(0, 1)], [(1, 1)])  # lines removed and added


@pytest.mark.slow
def test_all_of_them_work(tmp_path):
    for name in ("delvm", "delvm_tf", "trainers", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for addition in ADDITIONS:
        subprocess.run(["git", "apply"], cwd=tmp_path, input=diff(addition), text=True, check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    own = [name for each in ADDITIONS for name in changes(each) if name.startswith("tests/")]
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own,
            "tests/trainers/recipes_test.py", "tests/catalog/every_model_test.py",
            "tests/trainers/arguments_test.py",
            "-m", "not slow", "-k",
            "ising or breast_cancer or above or farthest or summed or tumours or has_an_option "
            "or (delvm-margin and learns)",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10, done.stdout[-3000:]
