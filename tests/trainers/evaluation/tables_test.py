import csv
import io

import numpy as np
import pytest

from trainers.evaluation.tables import csv_table, markdown_table, summarize

ROWS = [
    {"method": "ours", "seed": 0, "auroc": 0.91, "seconds": 12.0},
    {"method": "PCA", "seed": 0, "auroc": 0.85, "seconds": 0.5},
    {"method": "ours", "seed": 1, "auroc": 0.93, "seconds": 14.0},
    {"method": "ours", "seed": 2, "auroc": 0.98, "seconds": 19.0},
]


def test_the_summary_is_mean_and_sample_standard_deviation():
    summary = summarize(ROWS, ["auroc", "seconds"])
    auroc, seconds = [0.91, 0.93, 0.98], [12.0, 14.0, 19.0]
    deviation = np.sqrt(np.square(np.array(auroc) - 0.94).sum() / 2)
    assert summary["ours"]["auroc"] == f"0.9400 ± {deviation:.4f}"
    assert summary["ours"]["seconds"] == f"15.0 ± {np.std(seconds, ddof=1):.1f}"


def test_one_seed_has_no_deviation_and_methods_keep_their_order():
    summary = summarize(ROWS, ["auroc"])
    assert list(summary) == ["ours", "PCA"]
    assert summary["PCA"] == {"auroc": "0.8500"}


def test_the_markdown_table_holds_every_cell_of_the_summary():
    summary = summarize(ROWS, ["auroc", "seconds"])
    header, rule, *body = markdown_table(summary).splitlines()

    def cells(line):
        return [cell.strip() for cell in line.strip("|").split("|")]

    assert cells(header) == ["method", "auroc", "seconds"]
    assert cells(rule) == ["---"] * 3
    read = {
        method: dict(zip(cells(header)[1:], values, strict=True))
        for method, *values in map(cells, body)
    }
    assert read == summary


def test_csv_comes_back_as_it_went():
    text = csv_table(ROWS)
    assert text.splitlines()[0] == "method,seed,auroc,seconds"
    read = [
        {"method": r["method"], "seed": int(r["seed"])}
        | {name: float(r[name]) for name in ("auroc", "seconds")}
        for r in csv.DictReader(io.StringIO(text))
    ]
    assert read == ROWS


def test_csv_refuses_rows_with_other_figures():
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        csv_table([*ROWS, {"method": "PCA", "surprise": 1.0}])
