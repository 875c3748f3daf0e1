"""Every script of the gallery runs, is short, uses public names and draws a picture."""

import ast
import re
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ci_programs import ci_program
from matplotlib.image import imread

import delvm_tf as dv

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "gallery").glob("*.py"))
PAGE = ROOT / "docs" / "gallery" / "index.md"
LARGEST = 150_000  # bytes of a picture

# What is shown takes longer than a test may.
SMALLER = {
    "all_noise_levels": {"EPOCHS = 100": "EPOCHS = 1", "(64, 64)": "(8, 8)"},
    "decision_maps": {"STEPS = 1000": "STEPS = 2", ", 1000)": ", 200)", "size=(500": "size=(100"},
    "digits_completed": {"EPOCHS = 60": "EPOCHS = 1", "(16, 32)": "(4, 4)", "steps=40": "steps=2"},
    "false_alarms": {"STEPS = 1000": "STEPS = 2", "rows(20_000)": "rows(5_000)"},
    "hessian_traces": {"EPOCHS = 3": "EPOCHS = 1", "[:50]": "[:5]"},
    "known_density": {"EPOCHS = 100": "EPOCHS = 1"},
    "langevin_bias": {"STEPS = 300": "STEPS = 5"},
    "moons_landscape": {"EPOCHS = 80": "EPOCHS = 1", "steps=500": "steps=5"},
    "photo_filters": {"EPOCHS = 25": "EPOCHS = 1", "40_000": "2_000"},
    "strange_heartbeat": {"EPOCHS = 40": "EPOCHS = 1"},
}

LONG = {"digits_completed"}  # many graphs of a U-Net

every_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def run(path, folder, monkeypatch):
    """The names of a script that has run at small scale, with its picture in the folder."""
    text = path.read_text()
    for large, small in SMALLER[path.stem].items():
        assert large in text, large
        text = text.replace(large, small)
    copy = folder / path.name
    copy.write_text(text)
    monkeypatch.setattr(sys, "argv", [str(copy), str(folder)])
    return runpy.run_path(str(copy), run_name="__main__")


def content(picture):
    """How many colours a picture has, and the share of its pixels that are not white."""
    pixels = imread(picture)[..., :3]
    colours = np.unique(np.round(pixels.reshape(-1, 3) * 255).astype(int), axis=0)
    return len(colours), np.mean((pixels < 1).any(axis=-1))


def lines_do_not_cross(names):
    """All noise levels: the flow keeps the order of its lines."""
    assert (np.diff(names["run"].trajectory[:, :, 0], axis=1) > 0).all()


def known_halves_are_kept(names):
    """Digits completed."""
    known = np.broadcast_to(names["upper"], names["digits"].shape)
    for draw in names["draws"].numpy():
        np.testing.assert_allclose(draw[known], names["digits"][known], atol=1e-3)


def false_alarms_come_at_their_rate(names):
    """False alarms: within what 999 of 1,000 experiments give, at every rate."""
    low, high = (names["spread"].ppf(share) / len(names["new"]) for share in (5e-4, 1 - 5e-4))
    for line in names["left"].lines:
        shares = line.get_ydata()[:-1]
        assert ((shares >= low) & (shares <= high)).all()


def a_wide_lattice_is_exact(names):
    """Hessian traces: two convolutions of 3 × 3 see 5 × 5 pixels."""
    cost, trace = names["trace"]("lattice", spacing=5)
    np.testing.assert_allclose(trace, names["exact"], rtol=1e-4)
    assert cost > names["exact_cost"]


def the_truth_is_a_density(names):
    """Known density: it sums to one, but for what lies beyond the grid."""
    area = (names["side"][1] - names["side"][0]) ** 2
    assert np.exp(names["truth"](names["grid"])).sum() * area == pytest.approx(1, abs=0.01)


def plain_steps_are_biased(names):
    """Langevin bias: the mean of x² is 1.1, of chains of the largest steps 1.23 without MALA."""
    assert np.average(names["side"] ** 2, weights=names["density"]) == pytest.approx(1.1, abs=1e-3)
    squares = [
        np.square(names["model"].sample(20_000, sampler(0.12), 50, initial=names["start"], seed=1))
        for sampler in (dv.samplers.Langevin, dv.samplers.MALA)
    ]
    errors = [4 * np.std(values) / np.sqrt(len(values)) for values in squares]
    for values, error, expected in zip(squares, errors, (1.23, 1.1), strict=True):
        assert np.mean(values) == pytest.approx(expected, abs=error)


def contributions_sum_to_the_score(names):
    """Strange heartbeat."""
    scores = names["scores"][names["chosen"]]
    np.testing.assert_allclose(names["parts"].sum(axis=(1, 2)), scores, rtol=1e-3)


TOLD = {
    "all_noise_levels": lines_do_not_cross,
    "digits_completed": known_halves_are_kept,
    "false_alarms": false_alarms_come_at_their_rate,
    "hessian_traces": a_wide_lattice_is_exact,
    "known_density": the_truth_is_a_density,
    "langevin_bias": plain_steps_are_biased,
    "strange_heartbeat": contributions_sum_to_the_score,
}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow if p.stem in LONG else ()) for p in SCRIPTS],
    ids=lambda path: path.stem,
)
def test_it_draws_a_picture_and_what_it_tells_is_so(path, tmp_path, monkeypatch):
    names = run(path, tmp_path, monkeypatch)
    colours, share = content(tmp_path / f"{path.stem}.png")
    assert colours > 20
    assert share > 0.05
    TOLD.get(path.stem, lambda _: None)(names)


@every_script
def test_its_picture_is_there_and_small(path):
    picture = path.with_suffix(".png")
    assert picture.stat().st_size < LARGEST
    colours, share = content(picture)
    assert colours > 20
    assert share > 0.05


@every_script
def test_it_is_short_and_begins_with_a_title(path):
    text = path.read_text()
    assert len(text.splitlines()) < 60
    title, blank, rest = ast.get_docstring(ast.parse(text)).split("\n", 2)
    assert title.endswith(".")
    assert not blank
    assert rest


def named(tree):
    """Dotted names that begin with `dv`, and what is imported from the library."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            match = re.fullmatch(r"dv((?:\.\w+)+)", ast.unparse(node))
            if match:
                yield match[1].split(".")[1:]
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "delvm_tf":
            yield from ([*node.module.split(".")[1:], name.name] for name in node.names)


@every_script
def test_it_uses_public_names_only(path):
    names = [*named(ast.parse(path.read_text()))]
    assert names
    for parts in names:
        place = dv
        for part in parts:
            if isinstance(place, types.ModuleType):
                assert part in place.__all__, parts
            assert not part.startswith("_"), parts
            place = getattr(place, part)


@pytest.fixture(scope="module")
def hooks():
    return ci_program("site")


@every_script
def test_its_page_tells_shows_and_quotes_it(path, hooks):
    page = hooks.script_page(path)
    title, text = ast.get_docstring(ast.parse(path.read_text())).split("\n", 1)
    assert page.startswith(f"# {title[:-1]}\n\n{text.strip()}\n\n![")
    assert f"]({path.stem}.png)" in page
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert code.startswith("import ")
    assert path.read_text().endswith(f'"""\n\n{code}')


def test_pictures_lead_to_pages(hooks):
    shown = hooks.SHOWN.sub(hooks.cards, "<!-- gallery known_density false_alarms -->")
    for name in ("known_density", "false_alarms"):
        assert f"]({name}.md)\n\n" in shown
        assert f"![]({name}.png)" in shown


def test_the_gallery_shows_every_script_once(hooks):
    assert sorted(hooks.scripts(PAGE.read_text())) == [path.stem for path in SCRIPTS]
    assert {*SMALLER} == {path.stem for path in SCRIPTS}
