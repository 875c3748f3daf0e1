import numpy as np

from trainers.experiments.generation.bench import Bench, remove_kept
from trainers.experiments.generation.scales import SCALES


def test_what_is_kept_is_removed_with_its_empty_folders(tmp_path):
    bench = Bench("digits", SCALES["smoke"], False, 3, tmp_path)
    (bench.place("mine") / "drawn.npz").write_text("images")
    (bench.place("mine") / "backup").mkdir()
    bench.place("diverged")
    (tmp_path / "results.md").write_text("table")
    remove_kept(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.md"]


def test_real_images_and_training_images_are_others_under_another_seed(tmp_path):
    one, again, other = (Bench("digits", SCALES["smoke"], False, s, tmp_path) for s in (0, 0, 1))
    assert one.train.shape == (300, 8, 8, 1)
    assert one.real.shape == (64, 8, 8, 1)
    assert one.pixels == (0, 16, True)
    np.testing.assert_array_equal(one.real, again.real)
    assert not np.array_equal(one.real, other.real)
    assert not np.array_equal(one.train, other.train)
    seen = {image.tobytes() for image in one.train}
    assert not seen & {image.tobytes() for image in one.real}
