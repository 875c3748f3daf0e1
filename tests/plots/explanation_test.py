import numpy as np
import pytest

from delvm_tf.plots import plot_explanation


def test_columns_that_contribute_most_are_named_with_what_they_should_have_been():
    names = [f"column {k}" for k in range(12)]
    contributions = np.arange(12.0)
    contributions[2] = -20
    figure = plot_explanation(np.arange(12.0), contributions, np.zeros(12), names, most=3)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == [
        "column 10 = 10 (expected 0)", "column 11 = 11 (expected 0)", "column 2 = 2 (expected 0)",
    ]  # fmt: skip
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == [10, 11, -20]


def test_a_series_is_drawn_over_its_contributions():
    x = np.sin(np.arange(50.0))
    figure = plot_explanation(x, np.square(x), 0 * x)
    line, expected = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), x)
    np.testing.assert_array_equal(expected.get_ydata(), 0 * x)
    (band,) = figure.axes[0].images
    np.testing.assert_array_equal(band.get_array()[0], np.square(x))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("expected", [False, True])
def test_an_image_stands_beside_a_map(rng, channels, expected):
    x = rng.uniform(0, 255, (6, 5, channels))
    figure = plot_explanation(x, x - 100, x if expected else None)
    maps = [ax.images[0] for ax in figure.axes if ax.images and ax.get_title() == "contributions"]
    np.testing.assert_allclose(maps[0].get_array(), (x - 100).sum(axis=-1))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["as it is", *["as expected"] * expected, "contributions"]


@pytest.mark.parametrize(
    ("x", "contributions", "names", "message"),
    [
        (np.zeros(3), np.zeros(4), None, r"shapes \(3,\) and \(4,\)"),
        (np.zeros((3, 3)), np.zeros((3, 3)), None, "an example"),
        (np.zeros(3), np.zeros(3), ["a"], "names of the"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, contributions, names, message):
    with pytest.raises(ValueError, match=message):
        plot_explanation(x, contributions, names=names)
