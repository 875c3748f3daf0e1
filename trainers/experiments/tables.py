"""Benchmarks of tables: data by protocol, and the scores of methods."""

import functools
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import delvm_tf as dv
from delvm_tf.catalog import default_recipe
from delvm_tf.detection import LevelDetector, PCAResidual
from delvm_tf.detection.levels.views import ColumnViews
from trainers.experiments.table_peers import installed

FOLDERS = {
    "oddbench": "oddbench", "published": "adbench", "clean": "adbench", "mvtec": "mvtec_resnet18",
}  # fmt: skip
LEAST, MOST = 1000, 50_000  # rows of a set under the protocol `published`
NEIGHBOURS = 5
SLOW_ROWS = 5000  # that methods of quadratic cost are fitted on


class Table(NamedTuple):
    """Normal rows to train on, and rows to score with labels, 1 for abnormal."""

    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray


def data_folder(protocol: str, folder: Path | None = None) -> Path:
    """The folder of the sets of a protocol.

    Raises:
        FileNotFoundError: if it is not there.
    """
    base = folder or Path(os.environ.get("DELVM_DATA_DIR", "."))
    found = base / FOLDERS[protocol]
    if not found.is_dir():
        raise FileNotFoundError(
            f"{found} is no folder; put the .npz files of {found.name} there, or name the folder "
            f"above it with DELVM_DATA_DIR"
        )
    return found


def sets_of(protocol: str, folder: Path | None = None) -> list[str]:
    """The names of the sets of a protocol, in order of their numbers or of the alphabet."""

    def key(name: str) -> tuple[int, str]:
        number = name.partition("_")[0]
        return (int(number) if number.isdecimal() else 0, name)

    return sorted((path.stem for path in data_folder(protocol, folder).glob("*.npz")), key=key)


def load_table(protocol: str, name: str, seed: int, folder: Path | None = None) -> Table:
    """A set split by a protocol.

    - `published` (Livernoche et al. 2024): sets under 1,000 rows are drawn with replacement to
      1,000 before they are split, so that rows of the test stand in the training too; those over
      50,000 are cut to 50,000. The first half of the normal rows trains.
    - `clean`: rows that occur twice count once, and sets over 50,000 are cut as well; half of the
      normal rows, drawn by the seed, train.
    - `mvtec`: as `clean`; embeddings of photographs by a ResNet-18, 15 sets of 512 columns.
    - `oddbench`: the split of the set itself.
    """
    path = data_folder(protocol, folder) / f"{name}.npz"
    if protocol == "oddbench":
        with np.load(path, allow_pickle=False) as file:
            train, test = (file[key].astype(np.float64) for key in ("train", "test"))
            return Table(train, test, file["test_labels"].astype(int))
    x, y = _labelled_rows(path, distinct=protocol != "published")
    rng = np.random.RandomState(seed)
    if len(x) > MOST:
        rows = rng.choice(len(x), MOST, replace=False)
        x, y = x[rows], y[rows]
    if protocol == "published":
        if len(x) < LEAST:
            rows = rng.choice(len(x), LEAST, replace=True)
            x, y = x[rows], y[rows]
        normal = x[y == 0]
        train, test = normal[: len(normal) // 2], normal[len(normal) // 2 :]
    else:
        train, test = train_test_split(x[y == 0], test_size=0.5, random_state=seed)
    abnormal = x[y == 1]
    labels = np.r_[np.zeros(len(test), int), np.ones(len(abnormal), int)]
    return Table(train, np.concatenate([test, abnormal]), labels)


@functools.lru_cache(maxsize=1)  # all methods and seeds take the same set, one after the other
def _labelled_rows(path: Path, distinct: bool) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        x, y = file["X"].astype(np.float64), file["y"].astype(int)
    if distinct:
        first = np.sort(np.unique(np.column_stack([x, y]), axis=0, return_index=True)[1])
        x, y = x[first], y[first]
    return x, y


Method = Callable[[np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


def _levels(train: np.ndarray, seed: int) -> Any:
    return LevelDetector(trusted=True, seed=seed).fit(train)


def _delvm(train: np.ndarray, seed: int) -> Any:
    return dv.AnomalyDetector(default_recipe(), random_state=seed).fit(train)


def _scaled(make: Callable[[int, int], Any], most: int | None = None) -> Any:
    """A scikit-learn estimator of z-scores, of a random part of the rows if they are many."""

    def fit(train: np.ndarray, seed: int) -> Any:
        if most is not None and len(train) > most:
            train = train[np.random.default_rng(seed).permutation(len(train))[:most]]
        scaler = StandardScaler().fit(train)
        estimator = make(seed, len(train)).fit(scaler.transform(train))
        return lambda x: -estimator.score_samples(scaler.transform(x))

    return fit


def _neighbours(of: Callable[[np.ndarray], Any]) -> Any:
    def fit(train: np.ndarray, seed: int) -> Any:
        view = of(train)
        index = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train))).fit(view(train))
        return lambda x: index.kneighbors(view(x))[0][:, -1]

    return fit


def _z_scores(train: np.ndarray) -> Any:
    return StandardScaler().fit(train).transform


def _z_scores_and_ranks(train: np.ndarray) -> Any:
    views = ColumnViews(train)

    def view(x: np.ndarray) -> np.ndarray:
        spaces = views(x)
        return np.concatenate([spaces["sizes"].numpy(), spaces["ranks"].numpy()], axis=1)

    return view


OURS = "noise levels"
METHODS: dict[str, Method] = {
    OURS: _levels,
    "DSM-DELVM": _delvm,
    "neighbours (5)": _neighbours(_z_scores),
    "neighbours (5), with ranks": _neighbours(_z_scores_and_ranks),
    "local outlier factor": _scaled(
        lambda seed, n: LocalOutlierFactor(min(20, n - 1), novelty=True), 20_000
    ),
    "isolation forest": _scaled(lambda seed, n: IsolationForest(random_state=seed)),
    "one-class SVM": _scaled(lambda seed, n: OneClassSVM(nu=0.1), SLOW_ROWS),
    "PCA residual": _scaled(lambda seed, n: PCAResidual(0.9)),
    "Gaussian mixture (10)": _scaled(
        lambda seed, n: GaussianMixture(min(10, n // 2), reg_covar=1e-3, random_state=seed), 20_000
    ),
    "kernel density": _scaled(lambda seed, n: KernelDensity(bandwidth=0.5), SLOW_ROWS),
    **installed(),
}


class Scored(NamedTuple):
    """What a method makes of the rows of a test.

    Attributes:
        scores: higher is more abnormal, (n,).
        fit_seconds: to learn.
        score_seconds: to score all of them.
        megabytes: the most memory that the process has had so far.
    """

    scores: np.ndarray
    fit_seconds: float
    score_seconds: float
    megabytes: float


def scorer(fitted: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The scores of rows by what a method has made, a function or an estimator."""
    return fitted if not hasattr(fitted, "score_samples") else lambda x: -fitted.score_samples(x)


def scored(method: Method, table: Table, seed: int) -> Scored:
    """Fit and score; scores that are not finite are the most abnormal."""
    started = time.perf_counter()
    score = scorer(method(table.train, seed))
    fitted_at = time.perf_counter()
    scores = np.asarray(score(table.test), np.float64)
    ended = time.perf_counter()
    scores = np.where(np.isfinite(scores), scores, np.finfo(np.float64).max)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Scored(scores, fitted_at - started, ended - fitted_at, peak)
