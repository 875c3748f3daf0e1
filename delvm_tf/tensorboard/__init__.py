"""What TensorBoard shows of a run."""

from delvm_tf.tensorboard.callback import TensorBoard

__all__ = ["TensorBoard"]
