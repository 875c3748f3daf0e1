"""The documentation is whole: every page has its place, every link a target, every name a line.

Also, all that tutorials and how-tos show is run, here or by a test that is named here.
"""

import importlib
import inspect
import json
import os
import re
import shlex
import sys
import types
from pathlib import Path

import containers_test
import docs_test
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from ci_programs import ci_program

import delvm_tf as dv
from delvm.command import main
from delvm_tf.detection import fitting

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
LONGEST = 200  # lines of a page; a longer one becomes two
PARTS = ("tutorials", "gallery", "howto", "explanation", "reference", "results")

# Pages whose blocks are run by a test of their own, for it looks at what comes out.
TESTED = {
    "explanation/models.md": docs_test.test_the_models_of_the_models_page_do_what_it_says,
    "explanation/objectives.md": (
        docs_test.test_objectives_converge_to_what_the_objectives_page_says
    ),
    "explanation/sampling.md": docs_test.test_chains_come_out_as_the_sampling_page_says,
    "howto/columns.md": docs_test.test_the_columns_page_encodes_and_serves_a_table,
    "howto/containers.md": containers_test.test_the_page_on_containers_learns_scores_and_serves,
    "howto/detection.md": docs_test.test_the_detection_page_fits_and_validates,
    "howto/extend.md": docs_test.test_the_model_and_sampler_of_the_page_on_extending_work,
    "howto/layers.md": docs_test.test_the_own_layer_of_the_layers_page_is_exact_on_a_lattice,
    "howto/recipes.md": docs_test.test_the_recipes_page_shows_a_recipe_and_how_one_is_trained,
    "howto/serving.md": docs_test.test_the_serving_page_exports_loads_and_watches,
    "howto/training.md": (
        docs_test.test_the_training_page_grows_models_and_tells_healthy_chains_from_sick_ones
    ),
}
# Blocks that no test runs, by something in them, and why.
NOT_RUN = {
    "howto/beam.md": {
        "serving.beam": "Beam has an environment of its own, where tests/serving/beam_test.py runs",
    },
    "howto/serving.md": {
        "wait_until_ready": "it asks a server, as tests/serving/client_test.py does",
    },
    "tutorials/table.md": {
        "docker run": "containers are not at hand",
        "curl": "it asks the server in that container; tests/serving/client_test.py asks one",
    },
}
# What is shown takes longer than a test may.
SMALLER = {
    "howto/features.md": {"100_000": "2_000", " 400, ": " 20, "},
    "howto/scaling.md": {"epochs=20": "epochs=1, verbose=0"},
    "howto/streams.md": {"epochs=10": "epochs=1, verbose=0"},
    "howto/tensorboard.md": {"epochs=20": "epochs=1, verbose=0"},
    "tutorials/density.md": {"BATCH = 150,": "BATCH = 5,"},
    "tutorials/drawing.md": {
        "BATCH = 100,": "BATCH = 2,",
        "(32, 64)": "(4, 8)",
        "steps=40": "steps=2",
        "LevelMALA()": "LevelMALA(1)",
        "draws=4": "draws=1, steps=2, particles=1",
        "drawing_steps=20": "drawing_steps=2",
    },
    "tutorials/features.md": {
        "20_000": "2_000",
        " 100, seed": " 20, seed",
        "epochs=20": "epochs=2",
    },
    "tutorials/heartbeats.md": {"epochs=20": "epochs=2"},
    "tutorials/network.md": {"epochs=10": "epochs=2"},
}
LONG = {"tutorials/drawing.md"}  # many graphs of a U-Net
CLUSTER = {
    "cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}
}  # fmt: skip
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(page):
    return (DOCS / page).read_text()


def blocks(page):
    """(language, text) of the blocks of a page that are to be run."""
    skipped = dict.fromkeys(NOT_RUN.get(page, ()), 0)
    found = []
    for language, text in FENCE.findall(text_of(page)):
        named = [part for part in skipped if part in text]
        for part in named:
            skipped[part] += 1
        if not named:
            found.append((language, text))
    assert set(skipped.values()) <= {1}, f"{page}: {skipped}"
    return found


RUN = [page for page in PAGES if FENCE.search(text_of(page)) and page not in TESTED]


def prepared(page, x, images):
    """What a page speaks of and does not make, in the folder of the test."""
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    model.compile("adam")
    if page == "howto/streams.md":
        for number, image in enumerate(images):
            pixels = tf.cast(128 + 30 * image, tf.uint8)
            tf.io.write_file(f"photos/{number % 2}/{number}.png", tf.io.encode_png(pixels))
        dv.datasets.streams.write_tfrecords([x], "rows")
    elif page in ("howto/explanations.md", "howto/onnx.md"):
        model.adapt(x)
        detector = dv.AnomalyDetector(model, contamination=0.1, epochs=1).fit(x)
        return {"detector": detector}
    elif page == "howto/tensorboard.md":
        model.adapt(x)
        return {"model": model, "x_val": x, "y_val": np.arange(len(x)) % 2}
    return {"model": model}


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in RUN]
)
def test_what_a_page_shows_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitting, "STEPS", 30)
    registered = sys.modules["delvm_tf.datasets.load"]._REGISTERED
    monkeypatch.setattr(sys.modules["delvm_tf.datasets.load"], "_REGISTERED", {**registered})
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype("float32")
    images = rng.normal(size=(16, 8, 8, 1)).astype("float32")
    names = {"keras": keras, "np": np, "tf": tf, "dv": dv, "x": x, "images": images}
    names.update(prepared(page, x, images))
    if page == "howto/streams.md":
        monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    changes = dict.fromkeys(SMALLER.get(page, ()), 0)
    for language, text in blocks(page):
        for large, small in SMALLER.get(page, {}).items():
            changes[large] += large in text
            text = text.replace(large, small)
        if language == "python":
            exec(text, names)
            continue
        for line in text.splitlines():
            command, *arguments = shlex.split(line)
            assert command == "delvm", line
            assert main(arguments) == 0, line
    assert all(changes.values()), changes


def test_pages_with_tests_of_their_own_are_those_that_these_name():
    for page, test in TESTED.items():
        assert f"docs/{page}" in inspect.getsource(test), page
    assert {*NOT_RUN, *SMALLER, *TESTED} <= {*PAGES}


def test_lists_begin_after_an_empty_line():
    """Without it the site shows them as running text."""
    for path in [*DOCS.rglob("*.md"), *(ROOT / "results").rglob("*.md")]:
        text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"^(?![-\s]|\d+\. ).+\n(?:- |1\. )", text, re.MULTILINE), path


def test_a_page_is_read_in_one_sitting():
    lengths = {page: text_of(page).count("\n") for page in PAGES}
    assert {page: length for page, length in lengths.items() if length > LONGEST} == {}


def test_the_parts_are_those_of_the_navigation():
    assert {page.split("/")[0] for page in PAGES if "/" in page} == {*PARTS}


def in_navigation(entry):
    if isinstance(entry, str):
        return [entry]
    children = entry.values() if isinstance(entry, dict) else entry
    return [page for child in children for page in in_navigation(child)]


def test_every_page_is_in_the_navigation_once():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(in_navigation(settings["nav"])) == PAGES


def test_the_site_asks_no_other_host():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert "analytics" not in settings["extra"]
    for name in ("extra_css", "extra_javascript"):
        assert not [url for url in settings.get(name, []) if "//" in url]
    assert not [url for url in settings["extra"]["polyfills"] if "//" in url]


@pytest.fixture(scope="module")
def hooks():
    return ci_program("site")


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("results/tables.md", "# T\n[a](../../results/x/y.png)", "# T\n[a](x/y.png)"),
        ("howto/search.md", "![a](../../results/x.md#b)", "![a](../results/x.md#b)"),
        ("howto/search.md", "[a](../results/x.md) [b](#c)", "[a](../results/x.md) [b](#c)"),
        (
            "index.md",
            "[![](../gallery/x.png)](gallery/index.md)",
            "[![](gallery/x.png)](gallery/index.md)",
        ),
        ("results/x/results.md", "| 1 ± 2 |", "# x\n\n| 1\u00a0±\u00a02 |"),
        (
            "results/paper-cpu/fig1.md", "# fig1\n\n± is",
            "# fig1\n\nDiscussed in [The paper's figures](../paper.md).\n\n± is",
        ),
        (
            "results/benchmarks/serving.md", "Requests",
            "# benchmarks/serving\n\nDiscussed in [Serving: the same answers everywhere, and how "
            "fast](../serving.md).\n\nRequests",
        ),
        ("index.md", "    python a.py --b", "    python a.py --b"),
    ],
)  # fmt: skip
def test_pages_are_fitted_into_the_site(hooks, page, text, expected):
    place = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(text, place) == expected


def test_all_of_results_that_pages_link_to_is_part_of_the_site(hooks):
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s#]+)", text_of(page)):
            if "../results/" in link:
                assert Path(link).suffix in hooks.KINDS, f"{page}: {link}"


def test_every_table_of_results_is_discussed_on_a_page(hooks):
    tables = [path.relative_to(ROOT).as_posix() for path in (ROOT / "results").rglob("*.md")]
    assert {*tables} - {*hooks.readers()} == set()


def test_a_long_command_becomes_lines_that_a_shell_reads_as_one(hooks):
    command = "python trainers/tables.py --methods " + " ".join(["'a b'", "c"] * 20)
    shown = hooks.COMMAND.sub(hooks.folded, f"text\n\n    {command}\n\ntext")
    lines = shown.splitlines()[2:-2]
    assert len(lines) > 1
    assert max(map(len, lines)) <= hooks.COLUMNS + 2
    assert all(line.startswith("        ") for line in lines[1:])
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
    for kept in (f"    {command}  # all", f"    {command} \\", f"    {command} < a", f"{command}"):
        assert hooks.COMMAND.sub(hooks.folded, kept) == kept


def test_options_are_not_broken_and_sentences_have_room(hooks):
    whole = '<code>a <span class="whole">--b-c</span> d</code>'
    assert hooks.on_page_content("<p><code>a --b-c d</code></p>") == f"<p>{whole}</p>"
    for kept in (
        "<pre><code>a --b</code></pre>", "<pre><span></span><code>a --b</code></pre>",
        "<code>plain</code>", f"<code>{'long-' * 6}</code>", "<td>12.5</td>",
    ):  # fmt: skip
        assert hooks.on_page_content(kept) == kept
    sentence = "what a column holds where its cells do not <b>show</b> it"
    shown = hooks.on_page_content(f'<td style="a">{sentence}</td><td>--</td>')
    assert shown == f'<td style="a" class="long">{sentence}</td><td>--</td>'


def test_the_help_of_all_commands_is_part_of_the_reference(hooks):
    commands = hooks.HELP.findall(text_of("reference/command.md"))
    assert commands == ["fit", "score", "info", "export"]
    shown = hooks.HELP.sub(hooks.printed, "<!-- delvm info --help -->")
    assert shown.startswith("```text\nusage: delvm info")
    assert shown.endswith("\n```")


def documented():
    """Paths of the names that the reference pages show."""
    for page in (DOCS / "reference").glob("*.md"):
        yield from re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)


def at(path):
    """What a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def public():
    """Every public name with what it is: of the library, of its packages, and of theirs."""
    left = [(dv.__name__, dv)]
    while left:
        path, module = left.pop()
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType):
                left.append((f"{path}.{name}", thing))
            else:
                yield f"{path}.{name}", thing


def test_every_public_name_has_a_place_in_the_reference_and_documentation():
    places = [*documented()]
    assert len(places) == len({*places})
    things = [at(path) for path in places]
    missing = [path for path, thing in public() if not any(thing is there for there in things)]
    assert missing == []
    names = {id(thing) for _, thing in public()}
    assert [
        path for path, thing in zip(places, things, strict=True) if id(thing) not in names
    ] == []


def test_every_name_of_the_reference_has_documentation():
    griffe = pytest.importorskip("griffe")
    library = griffe.load("delvm_tf", search_paths=[str(ROOT)])
    for path in documented():
        found = library[path.removeprefix("delvm_tf.")]
        found = found.final_target if found.is_alias else found
        assert found.has_docstring, path
        assert not found.is_module, f"{path} is a module, and the function in it is {path}.<name>"


def slug(heading):
    """The anchor of a heading."""
    kept = re.sub(r"[^\w\s-]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


def anchors(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {
        *map(slug, re.findall(r"^#+ (.*)$", text, re.MULTILINE)),
        *re.findall(r"^::: (\S+)$", text, re.MULTILINE),
    }


OTHERS = [*ROOT.glob("*.md"), *(ROOT / f / "README.md" for f in ("tuning", "saved_models"))]
LINKED = [*(p.relative_to(ROOT).as_posix() for p in OTHERS), *(f"docs/{p}" for p in PAGES)]


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page):
    path = ROOT / page
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        there = Path(os.path.normpath(path.parent / target)) if target else path
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link
        if page.startswith("docs/"):  # what the site can show
            assert any(there.is_relative_to(ROOT / f) for f in ("docs", "results", "gallery")), link


NAMED = re.compile(r"\bdocs/[\w/-]+\.(?:md|c|png)\b")
READ = ("*.py", "*.toml", "*.md", "Makefile", "*.yml", "*.yaml")


def test_pages_that_programs_and_comments_name_exist():
    folders = ("delvm", "delvm_tf", "trainers", "tuning", "benchmarks", "saved_models", "tests")
    files = [path for f in folders for kind in READ for path in (ROOT / f).rglob(kind)]
    for path in [*files, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        for name in NAMED.findall(path.read_text()):
            assert (ROOT / name).exists(), f"{path}: {name}"


def test_tests_that_pages_name_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*_test.py"))
    for page in PAGES:
        for name in re.findall(r"`(test(?:_\w+){3,})`", text_of(page)):
            assert f"def {name}(" in tests, f"{page}: {name}"
        for name in re.findall(r"`(tests/[\w/.]+)`", text_of(page)):
            assert (ROOT / name).exists(), f"{page}: {name}"
