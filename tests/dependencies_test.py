"""What is installed is what is pinned, and known vulnerabilities in it stop the build."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from ci_programs import ci_program
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


# They come with the environment, in the version that its Python brings, unless pinned for it.
TOOLS = ("pip", "setuptools", "wheel")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name="constraints.txt"):
    """The versions that are pinned for this Python."""
    lines = [line.partition("#")[0] for line in (ROOT / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line.strip()]
    return {
        normal(pin.name): str(pin.specifier).removeprefix("==")
        for pin in found
        if pin.marker is None or pin.marker.evaluate()
    }


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_pinned():
    extras = project()["optional-dependencies"]
    named = project()["dependencies"] + [d for e in extras for d in extras[e] if "beam" not in e]
    names = {normal(re.match(r"[\w.-]+", d).group()) for d in named} - {"delvm-tf"}
    assert names - {*pins()} == set()


def test_all_that_is_needed_is_pinned_and_installed_in_that_version():
    """Follows what the packages require, as installed here."""
    named = ["tensorflow", "keras", "pytest", "pip-audit", "mkdocs-material", "mkdocstrings-python"]
    pinned, left = pins(), named
    seen = {*TOOLS} - {*pinned}
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        assert metadata.version(name) == pinned[name], name
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(normal(requirement.name))
    assert len(seen) > 40


@pytest.fixture(scope="module")
def audit():
    return ci_program("audit")


def found(*vulns):
    skipped = {"name": "b", "skip_reason": "not there"}
    return {"dependencies": [{"name": "a", "version": "1", "vulns": [*vulns]}, skipped]}


def test_a_vulnerability_fails_the_audit_unless_accepted(audit, monkeypatch):
    assert audit.judge(found()) == (True, ["1 of 2 pinned packages audited"])
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-7"], "fix_versions": ["1.1"]}
    passes, lines = audit.judge(found(vulnerability))
    assert not passes
    assert lines[0] == "a 1: PYSEC-1, fixed in 1.1"
    monkeypatch.setitem(audit.ACCEPTED, "CVE-7", "not used here")
    passes, lines = audit.judge(found(vulnerability))
    assert passes
    assert lines[0] == "a 1: PYSEC-1, accepted: not used here"
    assert not audit.judge(found(vulnerability, {"id": "CVE-8"}))[0]
    assert "CVE-7 is accepted and no longer found" in audit.judge(found())[1]


@pytest.mark.parametrize("nothing", ["no network", {"dependencies": [{"skip_reason": "404"}]}])
def test_without_the_network_the_audit_is_skipped_unless_required(audit, nothing):
    passes, (line,) = audit.judge(nothing)
    assert passes
    assert line.startswith("audit skipped, the advisories")
    assert not audit.judge(nothing, require=True)[0]


def test_an_audit_that_fails_is_not_taken_for_a_missing_network(audit, monkeypatch, tmp_path):
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text("no == pin == at all\n")
    with pytest.raises(RuntimeError, match=r"pip-audit fails on constraints\.txt"):
        audit.report("constraints.txt")


@pytest.mark.slow
def test_the_real_program_reads_the_pins(audit, tmp_path, monkeypatch):
    """With the network and without: it reports on all pins, or says why it cannot."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in audit.PINS:
        result = audit.report(name)
        if isinstance(result, dict):
            assert {normal(d["name"]) for d in result["dependencies"]} == {*pins(name)}
        else:
            assert "connect" in result.lower()
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", "--help"], capture_output=True, check=True
    )
    assert b"--require" in done.stdout
