"""What is published: library and command alone, which work by themselves in a new environment."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

FIT_AND_SERVE = """
import numpy as np
import delvm_tf as dv

x = np.random.default_rng(0).normal(size=(300, 5)).astype("float32")
model = dv.DELVM(dv.networks.ffnn((8,), seed=0))
model.adapt(x)
model.compile("adam")
model.fit(x, epochs=2, verbose=0)
detector = dv.AnomalyDetector(model, threshold="contamination").fit(x)
folder = dv.export_saved_model(detector, "saved")
served = dv.serving.load(folder).predict(x)
assert (served["is_anomaly"] == detector.is_anomaly(x)).all()
print("served from", dv.__file__)
"""

COMMANDS = (
    "fit train.csv -o model --label bad --contamination 0.1",
    "score model train.csv -o scores.csv --explain 2 --p-values",
    "info model",
    "export model -o saved_models/mine",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    for name in (
        "delvm",
        "delvm_tf",
        "trainers",
        "tuning",
    ):  # a build leaves files where the source is
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder, source], check=True
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_it_holds_library_command_and_data_and_nothing_of_the_laboratory(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"delvm", "delvm_tf"}
    assert any(name.endswith("ecg5000.npz") for name in names)
    assert "delvm_tf/py.typed" in names


@pytest.mark.slow
def test_installed_alone_it_fits_and_serves(wheel, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(pip, check=True)
    done = subprocess.run(
        [python, "-c", FIT_AND_SERVE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "env") in done.stdout
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal(9 * (k > 280)):.3f},{'ab'[k % 2]},{int(k > 280)}" for k in range(300)]
    (tmp_path / "train.csv").write_text("\n".join(["heat,site,bad", *rows]))
    for command in COMMANDS:
        done = subprocess.run(
            [python.with_name("delvm"), *command.split()], cwd=tmp_path, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "model" / "report.html").stat().st_size > 1000
    assert (tmp_path / "scores.csv").read_text().startswith('"file","row"')
