import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from delvm_tf.plots import plot_error_histogram, plot_reconstructions, plot_roc_curves
from delvm_tf.plots.figure import save_figure


@pytest.fixture
def labelled(rng):
    y = np.repeat([0, 1], [200, 60])
    return rng.gamma(2.0, size=260) + 3.0 * y, y


def assert_saves(figure, tmp_path):
    assert save_figure(figure, tmp_path / "figure.png").stat().st_size > 8_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [0.0, -4.0])
def test_the_histogram_counts_every_example_once(labelled, tmp_path, dtype, shift):
    scores, y = (labelled[0] + shift).astype(dtype), labelled[1]
    figure = plot_error_histogram(scores, y, threshold=2.0, label="energy")
    (ax,) = figure.axes
    normal, abnormal = ax.containers
    assert sum(bar.get_height() for bar in normal) == 200
    assert sum(bar.get_height() for bar in abnormal) == 60
    assert_saves(figure, tmp_path)


def test_the_histogram_shows_the_threshold_and_says_what_it_is(labelled):
    scores, y = labelled
    (ax,) = plot_error_histogram(scores, y, threshold=2.5, label="reconstruction error").axes
    (line,) = ax.lines
    assert set(line.get_xdata()) == {2.5}
    assert ax.get_xlabel() == "reconstruction error"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(texts) == ["abnormal", "normal", "threshold 2.5"]


@pytest.mark.parametrize(
    ("shift", "threshold", "scale"),
    [(0.0, 2.0, "log"), (-4.0, 2.0, "linear"), (0.0, -1.0, "linear")],
)
def test_the_axis_is_logarithmic_only_when_everything_is_positive(
    labelled, tmp_path, shift, threshold, scale
):
    figure = plot_error_histogram(labelled[0] + shift, labelled[1], threshold, "energy")
    assert figure.axes[0].get_xscale() == scale
    assert_saves(figure, tmp_path)


def test_a_histogram_of_equal_scores_can_be_drawn(tmp_path):
    assert_saves(plot_error_histogram([2.0] * 4, [0, 0, 1, 1], 2.0, "error"), tmp_path)
    # Edges between scores that differ by roundings, if at all, need not ascend.
    size = 462.9360364974771
    far = size * (1 + 3 * 2.3e-16)
    for near in (np.full(4, 17.60070133490355, np.float32), np.array([size, size, far, far])):
        assert_saves(plot_error_histogram(near, [0, 0, 1, 1], 1.0, "error"), tmp_path)


def test_infinite_scores_are_counted_and_not_drawn(labelled, tmp_path):
    scores, y = labelled
    scores[[0, 1, -1]] = np.inf
    figure = plot_error_histogram(scores, y, 2.5, "error")
    normal, abnormal = figure.axes[0].containers
    assert sum(bar.get_height() for bar in normal) == 198
    assert sum(bar.get_height() for bar in abnormal) == 59
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"normal, 2 infinite", "abnormal, 1 infinite"} <= set(texts)
    assert_saves(figure, tmp_path)
    with pytest.raises(ValueError, match="none of 2 scores is finite"):
        plot_error_histogram([np.inf, np.nan], [0, 1], 2.5, "error")
    highest = np.where(np.isinf(scores), 1e9, scores)
    curves = [plot_roc_curves(y, {"a": values}).axes[0].lines[0] for values in (scores, highest)]
    np.testing.assert_array_equal(curves[0].get_xydata(), curves[1].get_xydata())


def test_there_is_one_roc_curve_for_each_method(labelled, rng, tmp_path):
    scores, y = labelled
    methods = {"ours": scores, "noise": rng.normal(size=260)}
    figure = plot_roc_curves(y, methods)
    (ax,) = figure.axes
    assert len(ax.lines) == 2
    for line, (name, values) in zip(ax.lines, methods.items(), strict=True):
        false_alarms, recall, _ = roc_curve(y, values)
        np.testing.assert_array_equal(line.get_xdata(), false_alarms)
        np.testing.assert_array_equal(line.get_ydata(), recall)
        assert line.get_label() == f"{name} ({roc_auc_score(y, values):.4f})"
    assert_saves(figure, tmp_path)


def test_reconstructions_of_curves_are_drawn_over_their_inputs(labelled, rng, tmp_path):
    errors, y = labelled
    x = rng.normal(size=(260, 30))
    figure = plot_reconstructions(x, x + 1.0, y, errors, columns=3)
    assert len(figure.axes) == 6
    for ax in figure.axes:
        original, rebuilt = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(rebuilt, original + 1.0)
    assert_saves(figure, tmp_path)


def test_reconstructions_go_from_the_lowest_to_the_highest_error_of_each_class(labelled, rng):
    errors, y = labelled
    x = rng.normal(size=(260, 30))
    axes = plot_reconstructions(x, x, y, errors, columns=4).axes
    for row, name in enumerate(("normal", "abnormal")):
        members = errors[y == row]
        titles = [ax.get_title() for ax in axes[4 * row : 4 * row + 4]]
        assert titles[0] == f"{name}, error {members.min():.3g}"
        assert titles[-1] == f"{name}, error {members.max():.3g}"
        shown = [float(title.rsplit(" ", 1)[1]) for title in titles]
        assert shown == sorted(shown)
        drawn = axes[4 * row].lines[0].get_ydata()
        np.testing.assert_array_equal(drawn, x[y == row][np.argmin(members)])


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 6, 3)])
@pytest.mark.parametrize("top", [1, 255])
def test_reconstructions_of_images_stand_beside_their_inputs(labelled, rng, tmp_path, shape, top):
    errors, y = labelled
    x = rng.uniform(0, top, size=(260, *shape))
    x[:, 0, 0] = top
    rebuilt = x[:, ::-1]
    figure = plot_reconstructions(x, rebuilt, y, errors, columns=2)
    assert len(figure.axes) == 4
    lowest = np.flatnonzero(y == 0)[np.argmin(errors[y == 0])]
    (image,) = figure.axes[0].images
    pair = np.concatenate([x[lowest], rebuilt[lowest]], axis=1) / top
    np.testing.assert_allclose(image.get_array(), np.squeeze(pair), rtol=1e-6)
    assert_saves(figure, tmp_path)
