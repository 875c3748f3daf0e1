"""One fitted detector of every kind that can be exported, and rows for it."""

import keras
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import delvm_tf as dv
from delvm_tf import detection
from delvm_tf.features import PatchFeatures, PatchWhitening, random_filters, sample_patches
from delvm_tf.features.encoders import make_encoder


def table():
    return np.random.default_rng(0).normal(3, 2, size=(60, 6)).astype(np.float32)


def images(channels=1):
    shape = (40, 8, 8, channels)
    return np.random.default_rng(0).integers(0, 256, size=shape).astype(np.float32)


def model(x, seed=0):
    keras.utils.set_random_seed(seed)
    made = dv.DELVM(dv.networks.ffnn((5, 4), activation="softplus", seed=seed))
    made.adapt(x)
    for weight in made.trainable_variables:
        noise = np.random.default_rng(seed).normal(size=weight.shape)
        weight.assign(weight + 0.2 * noise.astype(np.float32))
    return made


def scaled(detector):
    return make_pipeline(StandardScaler(), detector)


def patches(x):
    sampled = sample_patches(x, 4, 300, seed=0)
    whiten = PatchWhitening(sampled)
    filters = random_filters(whiten(sampled).numpy(), 6, seed=0)
    features = PatchFeatures(4, whiten, make_encoder("triangle", filters))
    return detection.FeatureDetector(features, scaled(detection.NeighbourDistance(3)))


# Each makes an unfitted detector from training rows.
OF_TABLES = {
    "reconstruction error": lambda x: dv.AnomalyDetector(model(x)),
    "energy": lambda x: dv.AnomalyDetector(model(x), criterion="energy"),
    "ensemble": lambda x: detection.ModelEnsemble([model(x, 1), model(x, 2)], power=2.0).fit(x),
    "ensemble and neighbours": lambda x: detection.ModelEnsemble(
        [model(x)], power=3.0, beside=detection.NeighbourDistance(3, leave_out=True)
    ).fit(x),
    "combination": lambda x: detection.ScoreCombination(
        [dv.AnomalyDetector(model(x), criterion="energy"), detection.NeighbourDistance(3).fit(x)],
        prefit=True,
    ).fit(x),
    "features": lambda x: detection.FeatureDetector(
        model(x).features, detection.PrincipalGaussian(2)
    ).fit(x),
    "layers": lambda x: detection.FeatureDetector(
        detection.LayerScores(model(x)), scaled(detection.NeighbourDistance(2))
    ).fit(x),
    "noise levels": lambda x: detection.FeatureDetector(
        detection.NoiseScores(model(x), (0.0, 1.0), draws=1), detection.PrincipalGaussian(2)
    ).fit(x),
    "model of features": lambda x: detection.FeatureDetector(
        model(x).features, dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn(3)), epochs=1)
    ).fit(x),
    "levels": lambda x: detection.LevelDetector(steps=20).fit(x),
    "neighbours": lambda x: detection.NeighbourDistance(3, n_components=4).fit(x),
    "Gaussian": lambda x: detection.PrincipalGaussian(3).fit(x),
    "scaled one-class SVM": lambda x: scaled(OneClassSVM(nu=0.2)).fit(x),
    **{name: lambda x, make=make: make(0).fit(x) for name, make in detection.BASELINES.items()
       if name != "PCA residual (16)"},
}  # fmt: skip
OF_IMAGES = {
    "patches": lambda x: patches(x).fit(x),
    "patches of colours": lambda x: patches(x).fit(x),
    "distance to mean image": lambda x: detection.DistanceToMean().fit(x),
    "isolation forest of images": lambda x: detection.BASELINES["isolation forest"](0).fit(x),
}
KINDS = [*OF_TABLES, *OF_IMAGES]


def fitted(kind):
    """A detector of a kind with a threshold in the middle of its scores, and its rows."""
    x = table() if kind in OF_TABLES else images(3 if "colours" in kind else 1)
    made = (OF_TABLES | OF_IMAGES)[kind](x)
    if not isinstance(made, dv.AnomalyDetector):
        made = dv.AnomalyDetector(made)
    scores = np.sort(made.fit(x).anomaly_score(x))
    gap = np.argmax(np.diff(scores[10:-5])) + 10  # where rounding moves no row across it
    made.threshold_ = float(scores[gap] + scores[gap + 1]) / 2
    return made, x


def written(kinds, write, folder):
    """By kind: a detector, its rows, and what `write` makes of it in a folder of its own."""
    made = {}
    for number, kind in enumerate(kinds):
        detector, x = fitted(kind)
        made[kind] = detector, x, write(detector, folder / str(number))
    return made
