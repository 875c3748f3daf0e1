"""Detectors of other packages, as methods for tables: `pip install -e './trainers[benchmarks]'`.

They see z-scores, with the settings that their packages give them; of many rows a random part.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

MOST_ROWS = 20_000  # that are learned from
BATCH = 10_000  # rows scored at a time


class Peer(NamedTuple):
    """Where a detector comes from.

    Attributes:
        package: that must be installed.
        module: that holds the class.
        name: of the class.
        settings: of its constructor, beside its defaults, given the columns and a seed.
    """

    package: str
    module: str
    name: str
    settings: Callable[[int, int], dict[str, Any]]


def _kcm(columns: int, seed: int) -> dict[str, Any]:
    return {"random_state": seed, "assume_scaled": True}


def _none(columns: int, seed: int) -> dict[str, Any]:
    return {}


def _auto_encoder(columns: int, seed: int) -> dict[str, Any]:
    return {"random_state": seed, "verbose": 0}


def _deep_svdd(columns: int, seed: int) -> dict[str, Any]:
    return {"n_features": columns, "random_state": seed, "verbose": 0}


PEERS = {
    "KCM": Peer("karkcm", "karkcm", "KCM", _kcm),
    "ECOD (PyOD)": Peer("pyod", "pyod.models.ecod", "ECOD", _none),
    "LUNAR (PyOD)": Peer("pyod", "pyod.models.lunar", "LUNAR", _none),
    "DeepSVDD (PyOD)": Peer("pyod", "pyod.models.deep_svdd", "DeepSVDD", _deep_svdd),
    "AutoEncoder (PyOD)": Peer("pyod", "pyod.models.auto_encoder", "AutoEncoder", _auto_encoder),
}


def installed(most_rows: int | None = MOST_ROWS) -> dict[str, Callable[[np.ndarray, int], Any]]:
    """The methods whose packages are here, by name; fitted on all rows if `most_rows` is None."""
    return {
        name: _method(peer, most_rows) for name, peer in PEERS.items()
        if importlib.util.find_spec(peer.package) is not None
    }  # fmt: skip


def _method(peer: Peer, most_rows: int | None) -> Callable[[np.ndarray, int], Any]:
    def fit(train: np.ndarray, seed: int) -> Any:
        if importlib.util.find_spec("torch") is not None:
            importlib.import_module("torch").manual_seed(seed)
        if most_rows is not None and len(train) > most_rows:
            train = train[np.random.default_rng(seed).permutation(len(train))[:most_rows]]
        scaler = StandardScaler().fit(train)
        kind = getattr(importlib.import_module(peer.module), peer.name)
        made = kind(**peer.settings(train.shape[1], seed)).fit(scaler.transform(train))
        score = getattr(made, "anomaly_score", None) or made.decision_function

        def scores(x: np.ndarray) -> np.ndarray:
            parts = np.array_split(scaler.transform(x), max(1, len(x) // BATCH))
            return np.concatenate([np.asarray(score(part)).ravel() for part in parts])

        return scores

    return fit
