import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from delvm.report.histogram import BINS, Scale, histogram


def test_the_scale_is_even_in_the_middle_and_holds_what_is_far_off(rng):
    normal = rng.normal(5, 2, 1000)
    scale = Scale.of(normal, np.array([*normal, 1e9]))
    places = scale.place(np.array([3.0, 5.0, 7.0, 1e9]))
    assert (np.diff(places) > 0).all()
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], rel=0.2)
    assert 0 < places[0] < places[3] < 1
    assert scale.score(float(places[3])) == pytest.approx(1e9, rel=1e-6)


def test_areas_are_the_shares_of_each_kind(rng):
    text = histogram({"normal & <held>": rng.normal(size=500), "far": np.full(10, 1e6)}, 3.0)
    root = ET.fromstring(text)
    paths = [path.get("d") for path in root.iter("path")][1:]
    assert len(paths) == 2
    assert all(path.count("H") == BINS for path in paths)
    words = "".join(root.itertext())
    assert "threshold 3" in words
    assert "normal & <held> (500)" in words
    assert "100%" in words  # all that is far off lies in one bin
    tops = [min(map(float, re.findall(r"V([\d.]+)", path))) for path in paths]
    assert tops[1] < tops[0]


@pytest.mark.parametrize(
    "scores", [np.zeros(5), np.array([1.0, np.inf, 2.0]), np.array([-1e30, 1e30])]
)
def test_strange_scores_can_be_drawn(scores):
    assert "nan" not in histogram({"normal": scores}, 1.0)
