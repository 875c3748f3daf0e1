import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from trainers.evaluation.tables import csv_table, markdown_table, print_table, summarize

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
    assert summary["auroc"]["ours"] == f"0.9400 ± {deviation:.4f}"
    assert summary["seconds"]["ours"] == f"15.0 ± {np.std(seconds, ddof=1):.1f}"


def test_one_seed_has_no_deviation_and_methods_keep_their_order():
    summary = summarize(ROWS, ["auroc"])
    assert list(summary.index) == ["ours", "PCA"]
    assert summary["auroc"]["PCA"] == "0.8500"


def test_seeds_without_a_figure_are_counted_and_never_averaged_in():
    rows = [
        {"method": name, "f": value}
        for name, values in {"some": [1, np.nan, 3], "none": [np.nan], "one": [1]}.items()
        for value in values
    ]
    summary = summarize(rows, ["f"], digits=1)["f"]
    assert summary.to_dict() == {"some": "2.0 ± 1.4 (2 of 3 seeds)", "none": "–", "one": "1.0"}


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
    assert read == summary.to_dict(orient="index")


def test_a_cell_cannot_break_the_markdown_table():
    text = markdown_table(pd.DataFrame({"trial": [3], "failed": ["a|b\n  c"]}))
    assert text == "| trial | failed |\n| --- | --- |\n| 3 | a\\|b c |\n"


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
    with pytest.raises(ValueError, match=r"'PCA' differs .* auroc, seconds, seed, surprise"):
        csv_table([*ROWS, {"method": "PCA", "surprise": 1.0}])


def test_csv_keeps_whole_numbers_beside_what_is_not_known():
    rows = [{"method": "a", "size": 8, "auroc": 0.1 + 0.2}]
    rows.append({"method": "b", "size": float("nan"), "auroc": 1.0})
    assert csv_table(rows) == "method,size,auroc\na,8,0.30000000000000004\nb,nan,1.0\n"


def shown(frame, width=100, **options):
    console = Console(width=width, file=io.StringIO())
    print_table(console, "a title", frame, **options)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_a_table_that_is_too_wide_goes_on_below_with_the_methods_again():
    figures = {f"figure {k}": [f"{k}.1234 ± 0.0001", f"-{k}"] for k in range(12)}
    frame = pd.DataFrame({"method": ["[ours]", "PCA"], **figures})
    lines = shown(frame)
    rows = [re.findall(r"[^│ ][^│]*[^│ ]|[^│ ]", line) for line in lines if "[ours]" in line]
    assert len(rows) > 1
    assert [cell for row in rows for cell in row[1:]] == [figures[name][0] for name in figures]
    assert sum("a title" in line for line in lines) == 1


def test_words_are_broken_and_numbers_are_not():
    frame = pd.DataFrame({"method": ["m"], "auroc": ["0.9876"], "remark": ["long words " * 20]})
    lines = shown(frame, left=["remark"])
    assert sum("0.9876" in line for line in lines) == 1
    assert len(lines) < 12
