"""What is known of containers without a runtime: their files, and what is mounted serves."""

import json
import re
import shlex
import subprocess
import tomllib
import urllib.request
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from ci_programs import ci_program
from parity_checks.servers import RestServer

from delvm.command import main
from delvm_tf.detection import fitting

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = re.compile(r"tensorflow/serving:(\d+\.\d+)\S*")


def joined(text):
    """Lines, with those that end in a backslash continued."""
    return re.sub(r"\\\n\s*", " ", text).splitlines()


def instructions():
    """Pairs of an instruction of the Containerfile and what follows it."""
    lines = joined((ROOT / "Containerfile").read_text())
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def the(name):
    (found,) = [rest for instruction, rest in instructions() if instruction == name]
    return found


def copied():
    """What is copied from the repository."""
    copies = [rest.split() for instruction, rest in instructions() if instruction == "COPY"]
    return {source for *sources, _ in copies for source in sources}


def ignored(path):
    """Whether .dockerignore keeps a path out: the last pattern that fits it decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    verdict, parts = False, Path(path).parts
    for line in [line for line in lines if line and not line.startswith("#")]:
        pattern = line.removeprefix("!")
        anywhere = pattern.startswith("**/")
        where = parts if anywhere else parts[:1]
        if any(fnmatch(part, pattern.removeprefix("**/")) for part in where):
            verdict = not line.startswith("!")
    return verdict


def test_all_that_is_copied_exists_and_nothing_else_is_sent():
    assert {"delvm", "delvm_tf", "pyproject.toml", "constraints.txt"} <= copied()
    for source in copied():
        assert (ROOT / source).exists(), source
    for path in ROOT.iterdir():
        assert ignored(path.name) == (path.name not in copied()), path.name
    assert not ignored("delvm_tf/datasets/data/ecg5000.npz")
    assert ignored("delvm_tf/detection/__pycache__/detector.pyc")
    assert ignored("saved_models/ecg5000/1/saved_model.pb")


def test_the_build_needs_all_that_is_copied():
    """What the metadata of the package names is there before it is installed."""
    needed = {PROJECT["readme"], *(name.split("/")[0] for name in PROJECT["license-files"])}
    assert needed <= copied()


def test_it_runs_the_command_as_a_user_on_a_python_that_was_tried():
    python = re.fullmatch(r"python:(\d+\.\d+)-slim", the("FROM"))[1]
    assert python in ci_program("pythons").claimed(PROJECT)
    (entry,) = json.loads(the("ENTRYPOINT"))
    assert entry in PROJECT["scripts"]
    assert int(the("USER")) > 0


def test_it_installs_what_is_pinned_and_names_no_index():
    (install,) = [command for command in the("RUN").split(" && ") if "pip install" in command]
    assert "--constraint constraints.txt" in install
    extras = re.search(r"'\.\[(.*)\]'", install)[1].split(",")
    assert {*extras} <= {*PROJECT["optional-dependencies"]}
    assert not re.search(r"index|https?:|find-links", (ROOT / "Containerfile").read_text())


def test_the_server_is_one_that_reads_graphs_of_this_tensorflow():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    texts = [p for name in tracked.stdout.split() if (p := ROOT / name).suffix in (".md", ".yaml")]
    found = {path: IMAGE.findall(path.read_text()) for path in texts or ROOT.rglob("*.md")}
    pinned = re.search(r"^tensorflow==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.M)[1]
    assert {version for versions in found.values() for version in versions} == {pinned}
    assert sum(map(bool, found.values())) >= 2


def answers(page):
    """What a server in the container of a page, which mounts `folder`, says to its request."""
    text = (ROOT / page).read_text()
    (run,) = [line for line in joined(text) if IMAGE.search(line)]
    folder, target = re.search(r'-v "\$PWD/([^:"]+):([^:"]+?)(?::ro)?"', run).groups()
    name = re.search(r"-e MODEL_NAME=(\w+)", run)[1]
    if target == "/models":  # where the image looks for folders of models
        folder = f"{folder}/{name}"
    else:
        assert target == f"/models/{name}"
    (body, address), = re.findall(r"curl -d '([^']+)' +\\?\s*(\S+)", text)  # fmt: skip
    port = re.search(r"-p 127\.0\.0\.1:(\d+):8501 ", run)[1]
    assert address == f"http://localhost:{port}/v1/models/{name}:predict"
    assert (Path(folder) / "1" / "saved_model.pb").exists()
    server = RestServer(Path(folder) / "1", name)
    try:
        request = urllib.request.Request(
            server.address + address.partition(port)[2], body.encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["outputs"]
    finally:
        server.close()


def run_commands(page):
    """Run what the blocks of a page have `delvm` do, in containers or out of them."""
    text = (ROOT / page).read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in joined(block):
            if found := re.search(r"(?:^docker run .* |^)delvm (\w+ .*)", line):
                arguments = shlex.split(found[1].replace(" /models/", " models/"))
                assert main([*arguments, "--quiet"]) == 0, line


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """An empty folder, in which training is short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitting, "STEPS", 30)
    return tmp_path


def is_a_decision_of_one_row(answer):
    assert {"is_anomaly", "anomaly_score", "p_value", "threshold"} <= {*answer}
    assert {len(values) for values in answer.values()} == {1}
    assert answer["is_anomaly"] == [answer["anomaly_score"][0] > answer["threshold"][0]]


def test_the_page_on_containers_learns_scores_and_serves(quick, rng):
    """docs/howto/containers.md"""
    lines = [f"{heat:.2f},{'north' if heat > 60 else 'south'}" for heat in rng.normal(60, 2, 300)]
    labels = np.arange(300) >= 280
    (quick / "train.csv").write_text(
        "\n".join(["heat,site,bad", *(f"{a},{int(b)}" for a, b in zip(lines, labels, strict=True))])
    )
    (quick / "new.csv").write_text("\n".join(["heat,site", *lines[:9]]))
    (quick / "models").mkdir()
    run_commands("docs/howto/containers.md")
    assert (quick / "scores.csv").exists()
    assert (quick / "models" / "mine" / "serving" / "1").is_dir()
    is_a_decision_of_one_row(answers("docs/howto/containers.md"))


@pytest.mark.slow
def test_the_tutorial_of_a_table_serves_what_it_exports(quick):
    page = "docs/tutorials/table.md"
    first = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)[1]
    exec(first, {})
    run_commands(page)
    is_a_decision_of_one_row(answers(page))
