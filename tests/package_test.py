"""What the package promises as a whole."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import delvm_tf as dv
from delvm_tf.serving import model_card

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "delvm_tf"

# Imports run one way: a package may use those to its right, never those to its left.
LAYERS = [
    "tensorboard", "serving", "detection", "plots", "catalog", "models", "training", "objectives",
    "samplers", "curvature",
]  # fmt: skip
# These know no model and not each other.
INDEPENDENT = [
    "datasets", "distribution", "features", "metrics", "networks", "normalization", "schema",
]  # fmt: skip
# These may be used by all and use nothing.
FOUNDATIONS = ["inputs", "storage"]
# The command imports the library; the laboratory imports both, and no program another.
COMMAND = "delvm"
LABORATORY = ["trainers", "tuning"]


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
def test_data_metrics_networks_and_normalisation_know_no_model(package):
    others = {used for _, used in imports_of(package)} - {package}
    assert not others & {*LAYERS, *INDEPENDENT}


@pytest.mark.parametrize("package", FOUNDATIONS)
def test_what_all_may_use_uses_nothing(package):
    assert {used for _, used in imports_of(package)} <= {package}


def test_every_package_has_its_place():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {*LAYERS, *INDEPENDENT, *FOUNDATIONS}


def modules_imported_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize(
    ("package", "above"), [("delvm_tf", {COMMAND, *LABORATORY}), (COMMAND, {*LABORATORY})]
)
def test_library_and_command_know_nothing_of_what_is_above_them(package, above):
    for path in (ROOT / package).rglob("*.py"):
        used = {module.partition(".")[0] for module in modules_imported_by(path)}
        assert not used & above, path


@pytest.mark.parametrize("folder", LABORATORY)
def test_no_program_imports_another(folder):
    files = [*(ROOT / folder).rglob("*.py")]
    programs = {path for path in files if '__name__ == "__main__"' in path.read_text()}
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in programs}
    for path in files:
        assert not {*modules_imported_by(path)} & names, path
        assert "sys.path" not in path.read_text(), path


def test_nothing_in_the_library_prints_or_reads_the_command_line():
    for path in PACKAGE.rglob("*.py"):
        lines = path.read_text().splitlines()  # but examples of the documentation may
        source = "\n".join(x for x in lines if not x.lstrip().startswith((">>> ", "... ")))
        for forbidden in ("print(", "sys.argv", "eval(", "import pickle", "allow_pickle=True"):
            assert forbidden not in source, f"{forbidden} in {path}"


def test_every_public_name_exists_and_has_documentation():
    for name in dv.__all__:
        assert getattr(dv, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dv.nonsense  # noqa: B018
    assert set(dv.__all__) <= set(dir(dv))


def test_dir_shows_what_is_meant_and_nothing_else():
    assert dir(dv) == sorted([*dv.__all__, "__version__"])
    assert not {"Any", "importlib"} & {*dir(dv)}
    assert "delvm" in dv.catalog.MODELS


def test_the_version_has_one_home_and_is_the_same_everywhere():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in pyproject["project"]["dynamic"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "delvm_tf.__version__"}
    newest = re.search(r"^## (\d\S*?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    served = model_card.versions()["delvm_tf"]
    assert {newest, citation, served, metadata.version("delvm_tf")} == {dv.__version__}


def test_what_extending_needs_has_public_names():
    needed = {
        dv: {"EnergyModel", "LatentEnergyModel", "Objective", "ObjectiveValue", "noise"},
        dv.curvature: {
            "ElementwiseOuter", "Jet", "Outer", "elementwise_rule", "linear_rule", "map_boxes",
            "register_receptive_field", "register_rule", "union",
        },
        dv.samplers: {"Sampler", "Transition"},
    }  # fmt: skip
    for module, names in needed.items():
        assert names <= {*module.__all__}, module


def test_the_page_on_extending_uses_public_names_only():
    page = (ROOT / "docs/howto/extend.md").read_text()
    blocks = "".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert "delvm_tf" not in blocks
    for path in re.findall(r"\bdv((?:\.\w+)+)", blocks):
        place = dv
        for name in path.split(".")[1:]:
            public = getattr(place, "__all__", None)
            assert public is None or name in public, path
            place = getattr(place, name)


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
