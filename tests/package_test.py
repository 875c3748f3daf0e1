"""What the package promises as a whole."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import delvm_tf as dv

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "delvm_tf"

# Imports run one way: a package may use those to its right, never those to its left.
LAYERS = [
    "search", "runs", "tensorboard", "serving", "anomaly", "plots", "catalog", "models",
    "objectives", "samplers",
    "curvature",
]  # fmt: skip
INDEPENDENT = [
    "datasets", "distribution", "evaluation", "metrics", "networks", "normalization", "patches",
]  # fmt: skip


def imports_of(package):
    for path in (PACKAGE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("delvm_tf."):
                yield path.name, node.module.split(".")[1]


@pytest.mark.parametrize("package", LAYERS)
def test_imports_run_one_way(package):
    left = LAYERS[: LAYERS.index(package)]
    assert [(file, used) for file, used in imports_of(package) if used in left] == []


@pytest.mark.parametrize("package", INDEPENDENT)
def test_data_evaluation_networks_and_normalisation_know_no_model(package):
    others = {used for _, used in imports_of(package)} - {package}
    assert not others & {*LAYERS, *INDEPENDENT}


def test_nothing_in_the_library_prints_or_reads_the_command_line():
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        for forbidden in ("print(", "sys.argv", "eval(", "import pickle", "allow_pickle=True"):
            assert forbidden not in source, f"{forbidden} in {path}"


def test_every_public_name_exists_and_has_documentation():
    for name in dv.__all__:
        assert getattr(dv, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dv.nonsense  # noqa: B018
    assert set(dv.__all__) <= set(dir(dv))


def test_importing_stays_cheap():
    """No plotting, tuning, downloading or scikit-learn code until it is used."""
    code = (
        "import sys, tensorflow, keras; before = set(sys.modules); import delvm_tf;"
        "print(*(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    new = set(result.stdout.split())
    heavy = ("sklearn", "matplotlib", "tensorflow_datasets", "keras_tuner", "tensorboard", "pandas")
    assert not [m for m in new if m.split(".")[0] in heavy]
    assert len([m for m in new if not m.startswith("delvm_tf")]) < 40
