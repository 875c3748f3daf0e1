"""ECG5000 as a data set of TensorFlow Datasets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from delvm_tf.datasets import ecg5000

_DESCRIPTION = """
5,000 heartbeats of 140 values, standardised per beat, in the archive's split of 500 and 4,500.
Label 0 is class 1 of the archive, the normal rhythm; 1 to 4 are its abnormal classes 2 to 5.
"""
_CITATION = """
@misc{ucr2018,
  title = {The UCR Time Series Classification Archive},
  author = {Dau, Hoang Anh and Keogh, Eamonn and Kamgar, Kaveh and others},
  year = {2018},
  url = {https://www.cs.ucr.edu/~eamonn/time_series_data_2018/}
}
"""


class Ecg5000(tfds.core.GeneratorBasedBuilder):
    """Reads the file that comes with the library; `as_supervised` gives (series, label)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The archive's rows and split."}  # noqa: RUF012  TFDS wants it so

    def _info(self) -> Any:
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            citation=_CITATION,
            homepage="https://www.timeseriesclassification.com/description.php?Dataset=ECG5000",
            features=tfds.features.FeaturesDict(
                {
                    "series": tfds.features.Tensor(shape=(140,), dtype=np.float32),
                    "label": tfds.features.ClassLabel(
                        names=["normal", "abnormal-2", "abnormal-3", "abnormal-4", "abnormal-5"]
                    ),
                }
            ),
            supervised_keys=("series", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        arrays = ecg5000.read()
        return {
            "train": self._generate_examples(arrays.x_train, arrays.y_train),
            "test": self._generate_examples(arrays.x_test, arrays.y_test),
        }

    def _generate_examples(self, x: Any, y: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, (series, label) in enumerate(zip(x, y, strict=True)):
            yield row, {"series": series, "label": int(label) - 1}
