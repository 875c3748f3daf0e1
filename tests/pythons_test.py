"""The program that tries every Python: which ones, what it says, and what is a failure."""

import sys
import tomllib
from pathlib import Path

import pytest
from ci_programs import ci_program
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
HERE = "{}.{}".format(*sys.version_info)


@pytest.fixture(scope="module")
def pythons():
    return ci_program("pythons")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_what_is_claimed_is_what_the_metadata_allows(pythons, project):
    allowed = SpecifierSet(project["requires-python"])
    versions = [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.1" in allowed]
    assert pythons.claimed(project) == versions
    assert HERE in versions
    classifiers = [f"{pythons.TRIED}{name}" for name in ("3", "3 :: Only", "3.12")]
    assert pythons.claimed({"classifiers": classifiers}) == ["3.12"]


def fake(path, prints):
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{prints}\n")
    path.chmod(0o755)
    return path


def test_interpreters_are_those_that_run_and_are_of_the_version(pythons, tmp_path, monkeypatch):
    """A name on the path may have no interpreter behind it, or another one."""
    named = fake(tmp_path / "bin" / "python3.12", "exit 127")
    monkeypatch.setenv("PATH", str(named.parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert pythons.interpreter("3.12") is None
    versions = tmp_path / "pyenv" / "versions"
    fake(versions / "3.12.1" / "bin" / "python", "echo 3.11")
    assert pythons.interpreter("3.12") is None
    right = fake(versions / "3.12.7" / "bin" / "python", "echo 3.12")
    assert pythons.interpreter("3.12") == right
    named.write_text("#!/bin/sh\necho 3.12\n")
    assert pythons.interpreter("3.12") == named
    assert pythons.interpreter("3.1") is None


def test_what_is_missing_is_skipped_and_a_failure_does_not_end_the_others(pythons, capsys):
    tried = []

    def trial(version, python):
        tried.append((version, python))
        if version == "3.12":
            raise pythons.Failed("pip install\nno wheel")

    found = {"3.12": Path("a"), "3.13": Path("b")}
    passes, lines = pythons.attempts(["3.11", "3.12", "3.13"], found.get, trial)
    assert not passes
    assert tried == [*found.items()]
    assert lines[0] == "3.11: skipped, no interpreter found"
    assert lines[1] == "3.12: FAILS\npip install\nno wheel"
    assert lines[2].startswith("3.13: works")
    assert capsys.readouterr().out.splitlines() == "\n".join(lines).splitlines()
    assert pythons.attempts(["3.13"], found.get, trial)[0]


def test_a_command_that_fails_says_how_and_sees_only_what_is_installed(pythons, monkeypatch):
    with pytest.raises(pythons.Failed, match=r"(?s)-c raise.*ValueError: no"):
        pythons.run([sys.executable, "-c", "raise ValueError('no')"])
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    code = "import os; print(os.environ.get('PYTHONPATH'))"
    assert pythons.run([sys.executable, "-c", code]) == "None\n"


def test_every_extra_has_pins_and_those_of_users_are_installed_together(pythons, project):
    extras = project["optional-dependencies"]
    assert {*extras} >= pythons.DEVELOPMENT
    assert {*extras} - pythons.DEVELOPMENT == {
        "plots", "tensorboard", "tfds", "tuning", "serving", "onnx",
    }  # fmt: skip
    for extra in extras:
        assert (ROOT / pythons.PINS.get(extra, "constraints.txt")).exists()


def test_an_extra_gets_the_pins_of_its_own(pythons, monkeypatch):
    commands = []
    monkeypatch.setattr(pythons, "run", commands.append)
    wheel = Path("delvm.whl")
    pythons.install(Path("python"), wheel, ["beam-dev"], "--dry-run")
    pythons.install(Path("python"), wheel, ["plots", "onnx"])
    pythons.install(Path("python"), wheel, [])
    pins = [command[command.index("-c") + 1].name for command in commands]
    assert pins == ["constraints-beam.txt", "constraints.txt", "constraints.txt"]
    assert [c[-1] for c in commands] == [
        "delvm.whl[beam-dev]",
        "delvm.whl[plots,onnx]",
        "delvm.whl",
    ]
    assert "--dry-run" in commands[0]
    with pytest.raises(ValueError, match="unpack"):
        pythons.install(Path("python"), wheel, ["beam", "plots"])
