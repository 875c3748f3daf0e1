"""TensorFlow Datasets builders of the data that come with the library.

    import delvm_tf.datasets.tfds_builders
    tensorflow_datasets.load("ecg5000", split="train")

needs the extra `tfds` and no network.
"""

from delvm_tf.datasets.tfds_builders.ecg5000 import Ecg5000

__all__ = ["Ecg5000"]
