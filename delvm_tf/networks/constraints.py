"""Weight constraints that Keras lacks."""

import keras


@keras.saving.register_keras_serializable(package="delvm_tf")
class NonPositive(keras.constraints.Constraint):
    """Keeps weights at or below zero: min(w, 0) after each step.

    For biases of ReLU units: score matching spends units with positive biases on the Gaussian bulk
    of the data, where they never switch off and the network turns linear.

    Examples:
        >>> dv.networks.NonPositive()(np.array([-1.0, 2.0])).numpy()
        array([-1.,  0.])
        >>> network = dv.networks.ffnn((256,), bias_constraint="non_positive")
    """

    def __call__(self, w):
        """min(w, 0)."""
        return keras.ops.minimum(w, 0.0)


@keras.saving.register_keras_serializable(package="delvm_tf")
class SpectralNorm(keras.constraints.Constraint):
    """Keeps the largest singular value of a kernel at or below a bound.

    Kernels are matrices, inputs (of all positions) by outputs. If the bounds of dense layers
    multiply to less than 1 and their activations have slopes of at most 1, ‖f(x)‖ grows more slowly
    than ‖x‖, so that ½‖x‖² − ½‖f(x)‖² has a density whatever the weights. A k × k convolution
    multiplies norms by up to k times this value. Cost: an eigenvalue problem of the kernel's
    smaller side at each step.

    Source: Miyato, Kataoka, Koyama and Yoshida (2018), for the idea.

    Args:
        bound: the largest singular value allowed.

    Raises:
        ValueError: if the bound is not positive.

    Examples:
        >>> dv.networks.SpectralNorm(1.0)(np.diag([4.0, 2.0])).numpy().round(6)
        array([[1. , 0. ],
               [0. , 0.5]])
        >>> network = dv.networks.ffnn((256,), kernel_constraint=dv.networks.SpectralNorm(0.9))
    """

    def __init__(self, bound: float = 1.0):
        if not bound > 0:
            raise ValueError(f"the bound of a spectral norm must be positive, got {bound!r}")
        self.bound = float(bound)

    def __call__(self, w):
        """The kernel w, or w times the bound over its norm."""
        matrix = keras.ops.reshape(w, (-1, w.shape[-1]))
        transposed = keras.ops.transpose(matrix)
        wide = matrix.shape[0] < matrix.shape[1]
        gram = keras.ops.matmul(*((matrix, transposed) if wide else (transposed, matrix)))
        norm = keras.ops.sqrt(keras.ops.maximum(keras.ops.eigh(gram)[0][-1], 1e-12))
        return w * keras.ops.minimum(1.0, self.bound / norm)

    def get_config(self):
        """Configuration for saving."""
        return {"bound": self.bound}


def get_constraint(identifier):
    """A constraint from a name (`"non_positive"` or one of Keras's) or an instance, or None."""
    return NonPositive() if identifier == "non_positive" else keras.constraints.get(identifier)
