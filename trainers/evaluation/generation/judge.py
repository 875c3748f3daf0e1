"""All figures of drawn images beside real ones."""

import keras
import numpy as np

from trainers.evaluation.generation.classifier import outputs
from trainers.evaluation.generation.coverage import coverage
from trainers.evaluation.generation.frechet import frechet_distance
from trainers.evaluation.generation.memorisation import QUANTILES, memorisation, two_nearest
from trainers.evaluation.generation.two_sample import by_features, by_pixels, told_apart


class Judge:
    """Real images to compare with, and what sees features in images.

    Args:
        extractor: raw images to features, as `ImageClassifier.extractor_`.
        train: the images that methods learn from, (m, height, width, channels).
        real: images that they do not, (n, ...).
        steps: of the network that tells pixels of drawn images from real ones.
        k: neighbours of precision and recall.
        seed: of the two-sample tests.
    """

    def __init__(
        self, extractor: keras.Model, train: np.ndarray, real: np.ndarray, steps: int = 200,
        k: int = 5, seed: int = 0,
    ):  # fmt: skip
        self.extractor, self.train, self.real = extractor, train, real
        self.k, self.seed = k, seed
        self.by_pixels = by_pixels(steps, seed)
        self.train_features = outputs(extractor, train)
        self.real_features = outputs(extractor, real)
        self.usual = {
            "pixels": two_nearest(real, train),
            "features": two_nearest(self.real_features, self.train_features),
        }

    def figures(self, drawn: np.ndarray, own: np.ndarray | None = None) -> dict[str, float]:
        """Figures of merit by name.

        Args:
            drawn: images in raw units, as many as there are real ones.
            own: if they are training images, their numbers among these.

        Returns:
            `frechet`, `precision`, `recall`; `told_by_pixels` and `told_by_features`, accuracies of
            two-sample tests; for `pixels` and `features` what `Memorisation` holds, `nearer_1_…`,
            `nearer_5_…`, `nearer_50_…`, `copies_…`, the statistic `ks_…` and its `ks_p_…`.

        Raises:
            ValueError: for another number or shape of images, or values that are not finite.
        """
        if drawn.shape != self.real.shape:
            raise ValueError(
                f"expected as many images as real ones, of the same shape, {self.real.shape}, got "
                f"{drawn.shape}"
            )
        if not np.isfinite(drawn).all():
            raise ValueError("some drawn images are not finite")
        features = outputs(self.extractor, drawn)
        covered = coverage(self.real_features, features, self.k)
        done = {
            "frechet": frechet_distance(self.real_features, features),
            "precision": covered.precision,
            "recall": covered.recall,
            "told_by_pixels": told_apart(self.real, drawn, self.by_pixels, self.seed),
            "told_by_features": told_apart(
                self.real_features, features, by_features(), self.seed
            ),
        }  # fmt: skip
        for name, near in {
            "pixels": two_nearest(drawn, self.train, own),
            "features": two_nearest(features, self.train_features, own),
        }.items():
            found = memorisation(near, self.usual[name])
            for quantile, share in zip(QUANTILES, found.nearer, strict=True):
                done[f"nearer_{100 * quantile:g}_{name}"] = share
            done |= {
                f"copies_{name}": found.copies, f"ks_{name}": found.statistic,
                f"ks_p_{name}": found.p_value,
            }  # fmt: skip
        return done
