import numpy as np
import pytest

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import End, fit_tick_labels, name_ends, round_ticks, spread
from delvm_tf.plots.palette import line_look


def test_places_keep_their_order_and_stay_apart():
    assert spread([], 0.1) == []
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.52], 0.1) == pytest.approx([0.4067, 0.5067, 0.6067], abs=1e-3)
    crowded = spread([0.95, 0.97, 1.0], 0.1)
    assert np.diff(crowded) == pytest.approx([0.1, 0.1])
    assert crowded[-1] <= 1 + 1e-9


def test_what_needs_more_room_gets_it():
    assert np.diff(spread([0.5, 0.5, 0.5], np.array([0.1, 0.3, 0.1]))) == pytest.approx([0.2, 0.2])


def test_names_stand_in_the_order_of_the_ends_with_leaders_from_the_last():
    _, axes = new_figure()
    ax = axes[0, 0]
    ends = {}
    for number, last in enumerate((10, 4, 10)):
        ax.plot([0, last], [number, number], **line_look(number))
        ends[f"line {number}"] = End(last, number, line_look(number))
    ends["level"] = End(None, 1.5, {"color": "black"})
    name_ends(ax, ends)
    texts = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    heights = [text.xy[1] for text in ax.texts if text.get_text()]
    assert list(texts) == ["line 0", "line 1", "level", "line 2"]
    assert heights == sorted(heights)
    leaders = [text for text in ax.texts if not text.get_text()]
    assert [leader.xy for leader in leaders] == [(10, 0), (ax.get_xlim()[1], 1.5), (10, 2)]


def test_names_below_a_panel_are_turned_only_if_they_do_not_fit():
    for names, turned in ((["a", "b"], 0), (["a long name of a thing", "another long name"], 35)):
        _, axes = new_figure(3.0, 2.0)
        axes[0, 0].set_xticks([0, 1], names)
        fit_tick_labels(axes[0, 0])
        assert {label.get_rotation() for label in axes[0, 0].get_xticklabels()} == {turned}


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.3, 30, ["0.5", "1", "2", "5", "10", "20"]),
        (1e-4, 1e4, ["0.0001", "0.01", "1", "100", "10,000"]),
    ],
)
def test_logarithmic_ticks_are_few_round_figures(low, high, shown):
    figure, axes = new_figure()
    ax = axes[0, 0]
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    round_ticks(ax.xaxis)
    figure.draw_without_rendering()
    ticks = [t for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert {*shown} >= {tick.label1.get_text() for tick in ticks} != set()
    assert 2 <= len(ticks) <= 8
