"""Pictures of awkward inputs: no text lies on text or data, no legend on a panel, all is inside."""

import itertools

import charts
import numpy as np
import pandas as pd
import pytest
from detector_growth import charts as growth

from delvm_tf.plots import (
    plot_error_histogram,
    plot_explanation,
    plot_reconstructions,
    plot_roc_curves,
)
from delvm_tf.plots.palette import COLORS, DASHES, PALETTE, family_look, line_look
from trainers.experiments.paper.charts import draw
from trainers.experiments.paper.points import points
from trainers.experiments.paper.tables import FIGURES, SCALES
from trainers.experiments.paper.values import gather
from trainers.plots.classes import plot_class_scores
from trainers.plots.density import plot_densities, plot_trajectories
from trainers.plots.ranks import plot_mean_ranks
from tuning.trials import Trial, plot_search

SMALLEST = 9  # points
WIDEST = 10.5  # inches
LONG = "reconstruction error of patches, 3 neighbours, power"


def texts_of(figure):
    """Texts that are seen, but for ticks beyond the limits of their axis."""
    unseen = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not (low <= tick.get_loc() <= high and axis.get_visible() and ax.get_visible()):
                    unseen |= {tick.label1, tick.label2}
    shown = figure.findobj(lambda each: hasattr(each, "get_fontsize"))
    return [
        text
        for text in shown
        if text.get_visible() and text.get_text().strip() and text not in unseen
        and (text.axes is None or text.axes.get_visible())
    ]  # fmt: skip


def corners(text):
    """Of the box around a text, (4, 2), turned with it."""
    angle = text.get_rotation()
    if angle % 90 == 0:
        return text.get_window_extent().corners()[[0, 1, 3, 2]]
    assert (text.get_ha(), text.get_va()) == ("right", "top")
    anchor = text.get_transform().transform(text.get_position())
    text.set_rotation(0)
    box = text.get_window_extent()
    text.set_rotation(angle)
    turn = np.deg2rad(angle)
    along, up = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    return np.array(
        [anchor - w * along - h * up for w, h in itertools.product((0, box.width), (0, box.height))]
    )[[0, 1, 3, 2]]


def overlap(one, other, slack=1.0):
    """Whether two rectangles share more than `slack` pixels: no side has a gap beyond it."""
    for box in (one, other):
        for side in (box[1] - box[0], box[3] - box[0]):
            across = side / max(np.linalg.norm(side), 1e-9)
            a, b = one @ across, other @ across
            if min(a.max(), b.max()) - max(a.min(), b.min()) < slack:
                return False
    return True


def assert_readable(figure):
    figure.draw_without_rendering()
    boxes = [(text.get_text(), corners(text)) for text in texts_of(figure)]
    for (one, its), (other, theirs) in itertools.combinations(boxes, 2):
        assert not overlap(its, theirs), f"{one!r} lies on {other!r}"
    whole = figure.bbox
    for name, box in boxes:
        assert (box >= -1).all(), f"{name!r} is cut"
        assert (box <= [whole.width + 1, whole.height + 1]).all(), f"{name!r} is cut"
    panels = [ax for ax in figure.axes if ax.get_visible()]
    legends = [*figure.legends, *(ax.get_legend() for ax in panels if ax.get_legend())]
    for legend, ax in itertools.product(legends, panels):
        box, panel = legend.get_window_extent().corners(), ax.bbox.corners()
        assert not overlap(box[[0, 1, 3, 2]], panel[[0, 1, 3, 2]]), "a legend covers a panel"
    for ax in panels:
        for line in ax.lines:
            seen = line.get_transform().transform(np.asarray(line.get_xydata(), float))
            seen = seen[np.isfinite(seen).all(axis=1)]
            if line.get_marker() in ("", "None", None) or not len(seen):
                continue
            for name, box in boxes:
                (left, low), (right, high) = box.min(axis=0), box.max(axis=0)
                on = (seen > [left, low]).all(axis=1) & (seen < [right, high]).all(axis=1)
                assert not on.any(), f"{name!r} lies on a point"
    assert min(text.get_fontsize() for text in texts_of(figure)) >= SMALLEST
    assert figure.get_figwidth() <= WIDEST


def search(bad=(0.55,), names=4):
    rng = np.random.default_rng(0)
    trials = []
    for number, score in enumerate([*bad, *rng.uniform(0.97, 0.99, 15)]):
        settings = {
            "learning_rate": float(10 ** rng.uniform(-4, -2.5)),
            "batch_size": (50, 100)[number % 2],
            "units": "-".join(["1024"] * (1 + number % names)), "scale": rng.uniform(0.3, 3),
            "objective": ("cd", "denoising", "score-matching")[number % 3], "cut": number % 5 == 0,
            "epochs": 10 * (1 + number % 7), "tiny": float(10 ** rng.uniform(-6, -1)),
        }  # fmt: skip
        trials.append(Trial(number, float(score), settings, None, ""))
    return trials


def paper_values(name, lost=()):
    rng = np.random.default_rng(0)
    stored = {}
    listed = points(name, SCALES["cpu"], (0, 1))
    for point in listed:
        gone = point.method in lost
        results = {
            str(d): dict.fromkeys(FIGURES[name].measures, 0.8 + 0.05 * rng.normal())
            for d in (() if gone else point.cell.depths)
        }  # fmt: skip
        stored[point.cell.key] = {"results": results, "diverged": "it ran away" if gone else ""}
    return gather(listed, stored)


@pytest.mark.parametrize(("bad", "names"), [((0.55,), 4), ((), 8), ((0.1, 0.5, 0.9), 2)])
def test_a_search_with_bad_trials_and_long_names(bad, names):
    figure = plot_search(search(bad, names), "auroc")
    assert_readable(figure)
    low, high = figure.axes[1].get_ylim()
    assert 0.96 < low < high < 1.0  # the other trials fill the panel
    heading = figure.get_suptitle()
    said = f"triangles: {len(bad)} of {15 + len(bad)} trials, below 0.97"
    assert heading == (said if bad else "")
    drawn = [line for line in figure.axes[1].lines if line.get_marker() in ("v", "o")]
    assert sum(len(line.get_xdata()) for line in drawn) == 15 + len(bad)


def test_a_search_whose_measure_is_to_be_low():
    trials = [Trial(k, v, {"k": k % 3}, None, "") for k, v in enumerate([1.0, 1.1, 1.2, 1.15, 99])]
    figure = plot_search(trials, "loss")
    assert_readable(figure)
    assert figure.get_suptitle() == "triangles: 1 of 5 trials, above 1.2"
    assert_readable(plot_search(trials[:1], "loss"))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_the_paper_at_full_width(name):
    assert_readable(draw(name, paper_values(name)))


@pytest.mark.parametrize("lost", [("sm-delvm",), tuple(FIGURES["fig1"].methods)])
def test_figures_of_the_paper_whose_training_diverged(lost):
    figure = draw("fig1", paper_values("fig1", lost))
    assert_readable(figure)
    assert any(text.get_text() == "diverged" for text in figure.axes[-1].texts)


def test_roc_curves_of_twelve_methods_with_long_names(rng):
    y = np.repeat([0, 1], 50)
    figure = plot_roc_curves(y, {f"{LONG} {k}": y + rng.normal(size=100) for k in range(12)})
    assert_readable(figure)
    looks = {(line.get_color(), str(line._dash_pattern)) for line in figure.axes[0].lines}
    assert len(looks) == 12


@pytest.mark.parametrize("shift", [0.0, -4.0])
def test_histograms_wherever_the_scores_lie(rng, shift):
    y = np.repeat([0, 1], 200)
    scores = rng.gamma(2.0, size=400) + shift
    scores[[0, -1]] = np.inf
    for order in (y, 1 - y):
        assert_readable(plot_error_histogram(scores, order, 2.5, "energy of the test data"))


def test_reconstructions_and_explanations(rng):
    y, x = np.repeat([0, 1], 20), rng.normal(size=(40, 140))
    assert_readable(plot_reconstructions(x, x + 1, y, 1e-5 * np.arange(40) + 1234.5))
    assert_readable(plot_explanation(x[0], np.square(x[0]), 0 * x[0]))
    names = [f"{LONG} {k}" for k in range(12)]
    assert_readable(plot_explanation(x[0, :12], x[1, :12], x[2, :12], names))


@pytest.mark.parametrize("methods", [1, 12])
def test_class_scores_and_ranks_of_many_methods(rng, methods):
    table = [
        {"method": f"{LONG} {k}", "seed": 0,
         **{f"{c} automobile": rng.uniform(0.4, 0.9) for c in range(10)}, "mean": 0.7}
        for k in range(methods)
    ]  # fmt: skip
    assert_readable(plot_class_scores(table))
    frame = pd.DataFrame(rng.uniform(size=(9, methods)).round(1))
    frame.columns = [f"{LONG[:30]} {k}" for k in range(methods)]
    assert_readable(plot_mean_ranks(frame, "some tables, AUROC"))


def test_densities_with_long_titles(rng):
    grid = -0.5 * np.square(np.linspace(-3, 3, 11)) * np.ones((11, 1))
    titles = [f"SM-CEBM, quadratic part {k} *" for k in range(14)]
    figure = plot_densities(dict.fromkeys(titles, grid), 3.0, rng.normal(size=(50, 2)))
    assert_readable(figure)
    assert min(text.get_fontsize() for text in texts_of(figure)) >= 12  # it fills a page's height
    title = "SM-DELVM: 5 chains, 2,000 Langevin steps"
    assert_readable(plot_trajectories(rng.normal(size=(5, 9, 2)), grid, 3.0, title=title))


@pytest.fixture
def saved(monkeypatch):
    kept = []
    for module in (charts, growth):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: kept.append(figure))
    return kept


def test_detectors_that_end_at_one_place(saved):
    sizes = [1000, 10_000, 100_000, 1_000_000]
    lines = {f"method {k}": (sizes, [1.0, 1.0, 1.0, 1.0 + 0.01 * k], None) for k in range(5)}
    lines |= {"stopped (PyOD)": ([1000], [50.0], 10_000), "never (PyOD)": ([], [], 1000)}
    growth.plot_growth({"fit": lines, "score": lines}, "rows", 60.0, "")
    assert_readable(saved[0])


def test_times_of_score_matching(saved):
    methods = ("autoencoder", "CD-1", "SM, exact", "SM, auto (lattice)")
    rows = [
        {"side": side, "depth": depth, "method": method, "ms an example": f"{1 + 0.01 * k}"}
        for side, depth in ((8, 2), (16, 2), (64, 2), (16, 1), (16, 4), (16, 2))
        for k, method in enumerate(methods)
    ]
    charts.plot_growth(rows, "")
    costs = [
        {"network": f"{n} × 70 filters of 5×5 on 28×28×1", "method": method,
         "exact": "yes" * (k > 1), "times the autoencoder": f"{10.0**k:.3g}"}
        for n in range(5) for k, method in enumerate(methods)
    ]  # fmt: skip
    charts.plot_methods(costs, "")
    spacings = [
        {"spacing": k, "times the autoencoder": 1.3**k, "relative to spacing 1": 0.4**k}
        for k in range(1, 10)
    ]
    charts.plot_spacings(spacings, "")
    for figure in saved:
        assert_readable(figure)
    # Sizes that are in both series are drawn once.
    line = saved[0].axes[0].lines[0]
    assert list(line.get_xdata()) == [8, 16, 64]


# Machado, Oliveira and Fernandes (2009): what is seen without red or green cones.
SEEN = {
    "by all": np.eye(3),
    "without red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "without green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


def lightness_and_hue(color, seen):
    """CIELAB of a colour such as `#0072B2`, after the cones."""
    code = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(seen) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ linear / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("cones", SEEN)
def test_colours_are_told_apart_by_all(cones):
    seen = [lightness_and_hue(color, SEEN[cones]) for color in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15
    old = [lightness_and_hue(c, SEEN["without red"]) for c in ("#1f77b4", "#9467bd")]
    assert np.linalg.norm(old[0] - old[1]) < 6  # which shows that the test can fail


def test_lines_are_told_apart():
    assert len({str(line_look(k)) for k in range(28)}) == 28
    looks = {str(family_look(color, k)) for color in COLORS for k in range(len(DASHES))}
    assert len(looks) == len(COLORS) * len(DASHES)
