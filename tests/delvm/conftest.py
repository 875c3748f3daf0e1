import json
import subprocess

import numpy as np
import pytest

from delvm.command import main
from delvm_tf.detection import fitting


@pytest.fixture
def delvm(monkeypatch, capsys, tmp_path):
    """Run the command in this process, which spares the seconds that starting TensorFlow takes.

    Training without a recipe is short.
    """
    monkeypatch.setattr(fitting, "STEPS", 30)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        try:
            status = main([*map(str, arguments)])
        except SystemExit as end:
            status = end.code
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


@pytest.fixture
def delvm_json(delvm):
    """What a command says with --json, which is nothing else than that."""

    def run(*arguments):
        done = delvm(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def machines(rows=300, abnormal=20, seed=0):
    """Lines of a table with text, missing cells, semicolons, decimal commas and labels."""
    rng = np.random.default_rng(seed)
    lines = ["Maschine;Temperatur (°C);Druck;defekt"]
    for k in range(rows + abnormal):
        bad = k >= rows
        heat = rng.normal(60 + 15 * bad, 3)
        cells = [rng.choice(["A1", "A2", "B7"]), f"{heat:.2f}", f"{heat / 10 + rng.normal():.3f}"]
        cells[2] = "" if k % 19 == 0 else cells[2]
        lines.append(";".join([*(cell.replace(".", ",") for cell in cells), str(int(bad))]))
    return lines


READ = ("--separator", ";", "--decimal", ",")
EPOCHS = """
model = "delvm"
objective = "denoising"
epochs = 2
model_settings = { units = [8], normalization = "zscore" }
objective_settings = { sigma = 1.0 }
detection = { threshold = "contamination" }
"""


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """The folder of a model, with its table and recipe."""
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "machines.csv").write_text("\n".join(machines()), encoding="utf-8")
    (folder / "quick.toml").write_text(EPOCHS)
    arguments = ["fit", folder / "machines.csv", "-o", folder / "model", "--label", "defekt"]
    arguments += [*READ, "--recipe", folder / "quick.toml", "--quiet"]
    assert main([*map(str, arguments)]) == 0
    return folder
