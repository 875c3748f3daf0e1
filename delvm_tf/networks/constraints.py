"""Weight constraints that Keras does not have."""

import keras


@keras.saving.register_keras_serializable(package="delvm_tf")
class NonPositive(keras.constraints.Constraint):
    """Holds weights at or below zero.

    For biases of ReLU units: score matching spends units with positive biases on the Gaussian bulk
    of the data, where they never switch off and the network turns linear.
    """

    def __call__(self, w):
        """min(w, 0)."""
        return keras.ops.minimum(w, 0.0)


def get_constraint(identifier):
    """A constraint from a name (`"non_positive"` or one of Keras's) or an instance, or None."""
    return NonPositive() if identifier == "non_positive" else keras.constraints.get(identifier)
