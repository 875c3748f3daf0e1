"""Data larger than memory: files, generators and TensorFlow Datasets as `tf.data` batches.

    ds = delvm_tf.datasets.streams.stream("images/*/*.png", batch_size=100, shuffle=10_000)
    model.adapt(ds); model.fit(ds); model.reconstruction_error(ds)

A format is a module with one function `chunks`; see `npz.py` for the pattern.
"""

from delvm_tf.datasets.streams.protocols import protocols_of
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.streams.stream import stream
from delvm_tf.datasets.streams.tfrecord import write_tfrecords

__all__ = ["TableOptions", "protocols_of", "stream", "write_tfrecords"]
