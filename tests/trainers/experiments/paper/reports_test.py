"""Pages, rows and pictures, from made-up numbers."""

import pytest

from delvm_tf.plots.figure import save_figure
from trainers.experiments.paper.charts import draw
from trainers.experiments.paper.comparisons import best_of_grid, compare
from trainers.experiments.paper.points import points
from trainers.experiments.paper.reports import Report, page, rows
from trainers.experiments.paper.tables import FIGURES, METHODS, SCALES
from trainers.experiments.paper.values import Place, Value, gather


def made_up(name, scale="smoke", seeds=(0, 1), lost=()):
    """Values of a figure in which everything is 0.5 + seed / 10; `lost` methods diverge."""
    stored = {}
    listed = points(name, SCALES[scale], seeds)
    for point in listed:
        numbers = dict.fromkeys(FIGURES[name].measures, 0.5 + point.cell.seed / 10)
        gone = point.method in lost
        results = {} if gone else {str(d): numbers for d in point.cell.depths}
        stored[point.cell.key] = {"results": results, "diverged": "ran away" if gone else ""}
    return gather(listed, stored)


def report(name, values, scale="smoke"):
    return Report(name, SCALES[scale], [0, 1], values, "python trainers/paper.py x", "2026-01-02")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_gets_a_page_and_a_picture(name, tmp_path):
    values = made_up(name, lost=("sm-delvm-printed",))
    text = page(report(name, values))
    for said in ("python trainers/paper.py x", "`smoke`", "seeds 0, 1", "2026-01-02", "diverged",
                 "ran away", "55.00 ± 7.07", "instead of", "The paper"):  # fmt: skip
        assert said in text
    for method in FIGURES[name].methods:
        assert METHODS[method].title in text
    assert save_figure(draw(name, values), tmp_path / "f.png").stat().st_size > 5000


def test_rows_hold_every_seed_and_say_what_diverged():
    values = made_up("fig7", lost=("ae",))
    table = rows("fig7", values)
    assert len(table) == 2 * len(values)
    assert {row["status"] for row in table if row["method"] == "AE"} == {"diverged"}
    assert {row["f1"] for row in table if row["method"] == "SM-DELVM"} == {0.5, 0.6}
    assert {row["units"] for row in table if row["method"] == "isolation forest"} == {""}


def test_the_papers_numbers_stand_beside_ours():
    values = made_up("fig7", scale="full")
    text = page(report("fig7", values, "full"))
    assert "Reduced against the paper: nothing." in text
    assert "| SM-DELVM | 2048 | precision | 90.57 | 55.00 ± 7.07 |" in text
    assert "| SM-DELVM (sign as printed) | 2048 | recall | 99.46 | 55.00 ± 7.07 |" in text
    assert "| AE | 256 | f1 | 93.77 | 55.00 ± 7.07 |" in text  # 2PR/(P+R)
    assert "not at this scale" in page(report("fig7", made_up("fig7")))
    assert "picture only" in page(report("fig3", made_up("fig3")))


def value(number):
    return Value({0: None if number is None else {"accuracy": number}}, {})


def test_methods_are_compared_place_by_place():
    values = {
        Place("sm-delvm", 3, 10): value(0.8), Place("sm-delvm", 3, 20): value(0.7),
        Place("sm-delvm", 3, 30): value(None), Place("cd-delvm", 3, 10): value(0.6),
        Place("cd-delvm", 3, 20): value(0.75), Place("cd-delvm", 3, 30): value(0.1),
    }  # fmt: skip
    said = compare(values, "sm-delvm", "cd-delvm", "accuracy")
    assert said == "SM-DELVM against CD-DELVM: ahead at 1 of 2 places, by +7.50 points on average."
    assert "nothing to compare" in compare(values, "sm-delvm", "cebm", "accuracy")
    assert "SM-DELVM: 10 of 3×3 (80.00%); the paper: 70 of 5×5" in best_of_grid("fig1", values)
