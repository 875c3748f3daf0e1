"""What is known of a model, in words: for its card, its page and `delvm info`."""

from collections.abc import Mapping, Sequence
from typing import Any

import delvm_tf as dv
from delvm.talk import shown
from delvm_tf.detection.conformal import kept_rate

RULES = {
    "mean_std": "mean plus one standard deviation of normal scores",
    "best_f1": "best F1 on labelled rows",
    "number": "given as a number",
    "set by hand": "set by hand",
}
FIGURES = {
    "auroc": "AUROC", "average_precision": "AP", "f1": "F1", "precision": "precision",
    "recall": "recall",
}  # fmt: skip
LISTED = 10  # of a list of values
PROMISE = "which at most {:.3g} % of new normal rows exceed, if they are drawn as these were"

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


def rate_of(detector: dv.AnomalyDetector) -> float | None:
    """The false-alarm rate that a threshold keeps; None if it was set by another rule."""
    if detector.threshold_rule_ != "contamination":
        return None
    return kept_rate(len(detector.normal_scores_), detector.contamination)


def threshold_text(threshold: Mapping[str, Any]) -> str:
    """A threshold and what it means."""
    rule = threshold["rule"]
    meaning = RULES.get(rule, rule)
    if rule == "contamination" and threshold.get("contamination") is not None:
        meaning = PROMISE.format(100 * threshold.get("rate", threshold["contamination"]))
    return f"{threshold['value']:.6g}, {meaning}"


def data_facts(data: Mapping[str, Any]) -> dict[str, str]:
    """What was understood of the files."""
    files = data["files"]
    names = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    image = data.get("image")
    if image:
        channels = f"{image[2]} channel{'' if image[2] == 1 else 's'}"
        rows = f"{data['rows']:,} images of {image[0]} × {image[1]} pixels, {channels}"
    else:
        rows = f"{data['rows']:,} rows, {len(data['columns'])} columns"
    facts = {"data": f"{names}: {rows}"}
    missing = sum(column["missing"] for column in data["columns"])
    if not image:
        facts["missing cells"] = f"{missing:,}" if missing else "none"
    if data.get("sampled", data["rows"]) < data["rows"]:
        facts["values"] = f"those of the columns are of {data['sampled']:,} random rows"
    if data["left_out"]:
        facts["left out"] = ", ".join(data["left_out"])
    if data["label"] is None:
        facts["labels"] = f"none; all {'images' if image else 'rows'} are taken as normal"
    else:
        label = f"{'' if image else 'column '}{data['label']}"
        facts["labels"] = f"{label}: {data['normal']:,} normal, {data['abnormal']:,} abnormal"
    return facts


def model_facts(summary: Mapping[str, Any]) -> dict[str, str]:
    """What was made of them, and when."""
    return {
        "method": summary["method"],
        "protocol": summary["protocol"],
        "threshold": threshold_text(summary["threshold"]),
        "made": f"{summary['created']}, "
        + ", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
    }


def about_facts(about: Any, name: str = "about") -> dict[str, str]:
    """What was written about a model, JSON of any depth, a line for each value or list of values.

    A name is the way to the value: of `{"test": {"auroc": 0.9}}` it is "about test auroc".
    """
    if isinstance(about, Mapping):
        parts = {str(key): value for key, value in about.items()}
    elif isinstance(about, list) and any(isinstance(each, Mapping | list) for each in about):
        parts = {str(number): value for number, value in enumerate(about, 1)}
    else:
        return {name: _values_text(about if isinstance(about, list) else [about])}
    found: dict[str, str] = {}
    for key, value in parts.items():
        found |= about_facts(value, f"{name} {key}")
    return found


def _values_text(values: Sequence[Any]) -> str:
    words = {None: "none", True: "yes", False: "no"}
    texts = [
        words[each] if each is None or isinstance(each, bool) else shown(each)
        for each in values[:LISTED]
    ]
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    return (", ".join(texts) or "none") + more


def column_table(columns: Sequence[Mapping[str, Any]]) -> Table:
    """The columns of a table."""
    rows = [[c["name"], c["kind"], c["missing"], c["values"]] for c in columns]
    return ("column", "kind", "missing", "values"), rows


def comparison_table(comparison: Sequence[Mapping[str, Any]]) -> Table:
    """Figures of merit of several methods."""
    rows = [[each["method"], *(float(each[k]) for k in FIGURES)] for each in comparison]
    return ("method", *FIGURES.values()), rows


def strangest_table(strangest: Sequence[Mapping[str, Any]]) -> Table:
    """Rows with the highest scores, and what makes them so."""
    rows = [
        [each["file"], each["row"], each["part"], float(each["score"]), reasons_text(each)]
        for each in strangest
    ]
    return ("file", "row", "part", "score", "because of"), rows


def reasons_text(row: Mapping[str, Any]) -> str:
    """The columns that contribute most to the score of a row, with their values."""
    return ", ".join(
        f"{each['column']} = {each['value']} ({each['contribution']:+.3g})"
        for each in row["reasons"]
    )
