"""A saved detector is the same in another process, and a folder that was changed is refused."""

import copy
import errno
import io
import json
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from parity_checks.kinds import KINDS, OF_IMAGES, OF_TABLES, fitted, table, written
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedKFold, cross_val_score

import delvm_tf as dv
from delvm_tf.detection import Criterion, NeighbourDistance, content, saving
from delvm_tf.storage.ownership import DamagedModelError

FOREIGN = [kind for kind in KINDS if "SVM" in kind or "forest" in kind]
SAVABLE = [kind for kind in KINDS if kind not in FOREIGN]
# Each of these has parts of another kind than the ones before; the others have the same parts.
SOME = [
    "energy", "ensemble and neighbours", "combination", "layers", "levels", "Gaussian", "patches",
]  # fmt: skip
OTHERS = [kind for kind in SAVABLE if kind not in SOME]
CHILD = """
import json, sys
import numpy as np
import delvm_tf as dv
for folder, rows, scores in json.loads(sys.argv[1]):
    detector, x = dv.load_detector(folder), np.load(rows)
    np.savez(scores, s=detector.anomaly_score(x), p=detector.p_value(x), t=detector.threshold_)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """By kind: the detector, its rows and its folder."""
    return written(SOME, dv.AnomalyDetector.save, tmp_path_factory.mktemp("saved"))


@pytest.mark.parametrize("kinds", [SOME, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=len)
def test_every_kind_is_the_same_in_another_process(kinds, request, tmp_path):
    if kinds is SOME:
        saved = request.getfixturevalue("saved")
    else:
        saved = written(kinds, dv.AnomalyDetector.save, tmp_path)
    jobs = []
    for number, (_, x, folder) in enumerate(saved.values()):
        rows, scores = tmp_path / f"{number}.npy", tmp_path / f"{number}.npz"
        np.save(rows, x)
        jobs.append([str(folder), str(rows), str(scores)])
    result = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(jobs)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for (kind, (detector, x, _)), (*_, scores) in zip(saved.items(), jobs, strict=True):
        with np.load(scores) as found:
            np.testing.assert_array_equal(found["s"], detector.anomaly_score(x), kind)
            np.testing.assert_array_equal(found["p"], detector.p_value(x), kind)
            assert found["t"] == detector.threshold_


@pytest.mark.parametrize("kind", ["energy", "ensemble and neighbours", "layers"])
def test_a_loaded_detector_has_all_that_the_saved_one_had(saved, kind):
    detector, x, folder = saved[kind]
    loaded = dv.load_detector(folder)
    assert loaded.threshold_rule_ == "set by hand"
    np.testing.assert_array_equal(loaded.normal_scores_, detector.normal_scores_)
    assert {*vars(loaded)} == {*vars(detector)}
    assert loaded.model is loaded.model_
    again = loaded.fit(x[:50])  # and goes on as it would
    np.testing.assert_allclose(again.anomaly_score(x), detector.anomaly_score(x), rtol=1e-5)


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_estimators_say_what_can_be_done(kind, tmp_path):
    detector, x = fitted(kind)
    with pytest.raises(TypeError, match=r"cannot be saved: .*export_saved_model"):
        detector.save(tmp_path / "detector")
    assert not [*tmp_path.iterdir()]
    copied = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copied.anomaly_score(x), detector.anomaly_score(x))


def joblib_copy(detector):
    buffer = io.BytesIO()
    joblib.dump(detector, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize(
    "way", [joblib_copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_copies_and_pickles_have_the_same_contents(saved, way):
    detector, x, _ = saved["combination"]
    copied = way(detector)
    np.testing.assert_array_equal(copied.anomaly_score(x), detector.anomaly_score(x))
    assert way(dv.AnomalyDetector(epochs=3)).epochs == 3


@pytest.mark.slow
def test_folds_in_other_processes():
    x = np.concatenate([table(), table()[:20] + 9])
    y = np.repeat([1, -1], [60, 20])
    detector = dv.AnomalyDetector(epochs=1, contamination=0.1)
    found = cross_val_score(detector, x, y, cv=StratifiedKFold(2), n_jobs=2)
    np.testing.assert_allclose(
        found, cross_val_score(detector, x, y, cv=StratifiedKFold(2)), rtol=1e-6
    )


class Furthest(Criterion):
    """A score of one's own."""

    def fit(self, X, y=None):
        self.mean_ = np.asarray(X).mean(axis=0)
        return self

    def anomaly(self, x):
        return abs(x - self.mean_).max(axis=1)


def test_a_criterion_of_ones_own(tmp_path):
    x = table()
    detector = dv.AnomalyDetector(Furthest().fit(x)).fit(x)
    loaded = dv.load_detector(detector.save(tmp_path / "own"))
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


def small(tmp_path):
    x = table()
    return dv.AnomalyDetector(NeighbourDistance(2).fit(x)).fit(x).save(tmp_path / "detector")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewritten(path):
    path.write_text(path.read_text().replace('"_criterion": "score', '"_criterion": "store'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: flip(f / "arrays.npz"), "arrays.npz is altered"),
        (lambda f: (f / "arrays.npz").unlink(), "arrays.npz is missing"),
        (lambda f: rewritten(f / "detector.json"), "detector.json is altered"),
        (lambda f: (f / "detector.json").write_text("{"), "no readable detector.json"),
        (lambda f: (f / "detector.json").write_text("[]"), "no readable detector.json"),
        (lambda f: (f / "detector.json").unlink(), "is no saved detector, for it has no detector"),
    ],
)
def test_a_folder_that_was_changed_is_neither_loaded_nor_replaced(tmp_path, change, message):
    folder = small(tmp_path)
    change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DamagedModelError, match=message):
        dv.load_detector(folder)
    with pytest.raises(FileExistsError, match="not written by this program, or was changed"):
        small(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]


def with_report(folder, x, text="a report"):
    """A detector with another file and a folder beside it."""

    def beside(made):
        (made / "serving" / "1").mkdir(parents=True)
        (made / "serving" / "1" / "graph").write_bytes(b"graph")
        (made / "report.html").write_text(text)

    detector = dv.AnomalyDetector(NeighbourDistance(2).fit(x)).fit(x)
    return saving.save(detector, folder, beside)


def test_what_lies_beside_a_detector_comes_and_goes_with_it(tmp_path):
    x = table()
    folder = with_report(tmp_path / "model", x)
    assert dv.load_detector(folder).p_value(x).shape == (60,)
    with_report(folder, x, "another")
    assert (folder / "report.html").read_text() == "another"
    with pytest.raises(OSError, match="No space"):
        saving.save(dv.load_detector(folder), folder, full_disk)
    assert (folder / "report.html").read_text() == "another"
    small(tmp_path).rename(tmp_path / "plain")
    (folder / "report.html").unlink()  # what is not there cannot be lost
    dv.load_detector(tmp_path / "plain").save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.npz", "detector.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "plain"]


def full_disk(made):
    (made / "half").write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "name", ["notes.txt", "report.html", "serving/2/graph", "model-7.keras", "mine/empty/"]
)
def test_a_folder_with_files_of_a_user_is_loaded_and_not_replaced(tmp_path, name):
    x = table()
    folder = with_report(tmp_path / "model", x)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_text("mine")
    with pytest.raises(FileExistsError, match=f"files of another origin: {name}"):
        dv.load_detector(folder).save(folder)
    assert path.exists()
    assert (folder / "serving" / "1" / "graph").read_bytes() == b"graph"


def test_a_detector_of_before_is_read_and_replaced(tmp_path):
    """Its record says nothing of what lies beside."""
    folder = small(tmp_path)
    record = json.loads((folder / "detector.json").read_text())
    del record["beside"], record["checksums"]["detector.json"]
    record["checksums"]["detector.json"] = content._digest(content._text(record))
    (folder / "detector.json").write_bytes(content._text(record))
    assert dv.load_detector(folder).save(folder) == folder


def test_only_what_was_saved_is_replaced(tmp_path):
    folder = small(tmp_path)
    assert small(tmp_path) == folder
    assert [path.name for path in tmp_path.iterdir()] == ["detector"]
    for other in (tmp_path / "file", tmp_path / "link"):
        other.symlink_to(folder) if other.name == "link" else other.write_text("mine")
        with pytest.raises(FileExistsError, match="it is no folder"):
            dv.load_detector(folder).save(other)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        dv.load_detector(tmp_path / "nothing")
    with pytest.raises(NotFittedError):
        dv.AnomalyDetector().save(tmp_path / "unfitted")


def test_a_record_cannot_name_other_code(tmp_path):
    """Even one with right checksums: classes are looked up, and methods are few."""
    folder = small(tmp_path)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for tree in (
        {"kind": "object", "class": "os.system", "state": {}},
        {"kind": "object", "class": "subprocess.Popen", "state": {"args": "ls"}},
        {"kind": "method", "of": None, "name": "save"},
        {"kind": "code"},
    ):
        record = {**json.loads(files["detector.json"]), "detector": tree}
        del record["checksums"]["detector.json"]
        record["checksums"]["detector.json"] = content._digest(content._text(record))
        with pytest.raises(DamagedModelError, match=r"not known here|cannot be read"):
            content.detector_of({**files, "detector.json": content._text(record)})


def test_kinds_are_all_of_them():
    assert {*SAVABLE, *FOREIGN} == {*OF_TABLES, *OF_IMAGES}


def test_what_is_mounted_is_refused_and_a_folder_in_it_named(tmp_path, monkeypatch):
    """As in a container; moving a mount is refused by the system, after all the work."""
    monkeypatch.setattr(saving.os.path, "ismount", lambda path: path == tmp_path)
    with pytest.raises(OSError, match=rf"mounted.*such as {tmp_path / 'model'}"):
        saving.refuse_foreign(tmp_path)
    saving.refuse_foreign(tmp_path / "model")
