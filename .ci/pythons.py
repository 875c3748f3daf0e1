"""Try what is published on every Python that it claims, from an empty environment to a decision.

For each version among the classifiers of pyproject.toml that has an interpreter here, found as
`python3.x` on the path or with pyenv: a new environment gets the wheel in the versions of
constraints.txt, with all that users may add to it; a model is fitted, served and asked, in Python
and by the command. `--extras` also resolves each extra by itself, `--tests` goes on with the
development's extras and a part of the short tests. Versions without an interpreter are skipped,
which is said. Needs the network.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ("delvm", "delvm_tf", "trainers", "tuning", "pyproject.toml", "README.md", "LICENSE")
TRIED = "Programming Language :: Python :: "
PINS = {"beam": "constraints-beam.txt", "beam-dev": "constraints-beam.txt"}
DEVELOPMENT = {"dev", "docs", "all", *PINS}
TESTS = ("tests/package_test.py", "tests/delvm", "tests/models", "tests/serving")

MODEL = """
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
    "--version",
    "fit train.csv -o model --label bad --contamination 0.1",
    "score model train.csv -o scores.csv --explain 2 --p-values",
    "info model",
    "export model -o saved_models/mine",
)
ANSWER = """
import csv
import tensorflow as tf

serve = tf.saved_model.load("saved_models/mine/1").signatures["table"]
heat, site = (tf.constant(values) for values in ([0.5, 9.5], ["b", "a"]))
decisions = serve(heat=tf.cast(heat, tf.float64), site=site)["is_anomaly"].numpy()
assert decisions.tolist() == [False, True], decisions
scored = [row["is_anomaly"] for row in csv.DictReader(open("scores.csv"))]
assert len(scored) == 300 and scored[-20:].count("true") > 15, scored
"""


class Failed(Exception):
    """A command failed; the message has its last lines."""


def run(command: list[str | Path], folder: Path = ROOT) -> str:
    """What a command prints.

    It sees what is installed and not this repository, unless it runs there.

    Raises:
        Failed: if it ends with an error.
    """
    outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    settings = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", **outside}
    done = subprocess.run(
        command, cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise Failed(f"{' '.join(map(str, command))[:200]}\n{last}")
    return done.stdout


def claimed(project: dict) -> list[str]:
    """The versions of Python that the classifiers name, such as 3.11."""
    names = [c.removeprefix(TRIED) for c in project["classifiers"] if c.startswith(TRIED)]
    return [name for name in names if name.replace(".", "").isdecimal() and "." in name]


def interpreter(version: str) -> Path | None:
    """Where an interpreter of that version is, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = shutil.which(f"python{version}")
    for path in [*([Path(named)] if named else []), *sorted(pyenv.glob(f"{version}.*/bin/python"))]:
        try:  # what is on the path may be a name without an interpreter behind it
            found = run([path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        except (Failed, OSError):
            continue
        if found.strip() == version:
            return path
    return None


def environment(python: str | Path, folder: Path) -> Path:
    """The interpreter of a new environment."""
    run([python, "-m", "venv", folder])
    return folder / "bin" / "python"


def build(python: str | Path, folder: Path) -> tuple[Path, Path]:
    """The wheel, made from the source archive as others would make it, and that archive."""
    source = folder / "source"  # a build leaves files where the source is
    source.mkdir()
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    tools = environment(python, folder / "tools")
    run([tools, "-m", "pip", "install", "--quiet", "build", "twine"])
    run([tools, "-m", "build", "--outdir", folder / "dist", source])
    (wheel,), (archive,) = ((folder / "dist").glob(kind) for kind in ("*.whl", "*.tar.gz"))
    run([tools, "-m", "twine", "check", "--strict", wheel, archive])
    return wheel, archive


def install(python: Path, package: Path, extras: list[str], *options: str) -> None:
    """Install a package with extras, in the versions that are pinned for them."""
    (pins,) = {PINS.get(extra, "constraints.txt") for extra in extras} or {"constraints.txt"}
    what = f"{package}[{','.join(extras)}]" if extras else str(package)
    run([python, "-m", "pip", "install", "--quiet", "-c", ROOT / pins, *options, what])


def use(python: Path, folder: Path) -> None:
    """Fit, serve and ask a model in Python and by the command, in an empty folder."""
    folder.mkdir()
    where = run([python, "-c", MODEL], folder)
    if not Path(where.split("served from ")[1].strip()).is_relative_to(python.parents[1]):
        raise Failed(f"not what was installed: {where}")
    rng = random.Random(0)
    rows = [f"{rng.gauss(9 * (k >= 280), 1):.3f},{'ab'[k % 2]},{int(k >= 280)}" for k in range(300)]
    (folder / "train.csv").write_text("\n".join(["heat,site,bad", *rows]))
    for command in COMMANDS:
        run([python.with_name("delvm"), *command.split()], folder)
    run([python, "-c", ANSWER], folder)


def attempt(
    python: Path, folder: Path, packages: tuple[Path, Path], extras: list[str], args
) -> None:
    """All that is tried with one interpreter."""
    wheel, archive = packages
    new = environment(python, folder / "env")
    for extra in extras if args.extras else ():
        install(new, wheel, [extra], "--dry-run")
    install(new, archive, [])
    run([new, "-m", "pip", "uninstall", "--quiet", "--yes", "delvm_tf"])
    users = [extra for extra in extras if extra not in DEVELOPMENT]
    install(new, wheel, users)
    run([new, "-m", "pip", "check"])
    use(new, folder / "use")
    if args.tests:
        install(new, wheel, ["all"])
        run([new, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS])


def attempts(
    versions: list[str], find: Callable[[str], Path | None], trial: Callable[[str, Path], None]
) -> tuple[bool, list[str]]:
    """Whether no trial failed, and a line about each version; told as they come."""
    passes, lines = True, []
    for version in versions:
        start, python = time.monotonic(), find(version)
        if python is None:
            lines.append(f"{version}: skipped, no interpreter found")
        else:
            try:
                trial(version, python)
                lines.append(f"{version}: works, {time.monotonic() - start:.0f} s")
            except Failed as failure:
                passes = False
                lines.append(f"{version}: FAILS\n{failure}")
        print(lines[-1], flush=True)
    return passes, lines


def main() -> int:
    """Try each version; fail if one fails, or if none could be tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", help="such as 3.12; all that are claimed if none")
    parser.add_argument("--extras", action="store_true", help="resolve each extra by itself")
    parser.add_argument("--tests", action="store_true", help="run a part of the short tests")
    args = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = args.versions or claimed(project)
    if strange := [v for v in versions if v not in claimed(project)]:
        parser.error(f"pyproject.toml does not claim {', '.join(strange)}")
    with tempfile.TemporaryDirectory() as name:
        packages = build(sys.executable, Path(name))

        def trial(version: str, python: Path) -> None:
            folder = Path(name) / version
            folder.mkdir()
            attempt(python, folder, packages, [*project["optional-dependencies"]], args)
            shutil.rmtree(folder)

        passes, lines = attempts(versions, interpreter, trial)
    tried = [line for line in lines if "skipped" not in line]
    return 0 if passes and tried else 1


if __name__ == "__main__":
    sys.exit(main())
