"""Steps that only one of two replicas finds not finite; prints what changed, which is nothing.

Run as a program, since devices are made before TensorFlow starts.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

N, D = 16, 6


def rows(bad):
    """The last row, which is the second replica's, has a NaN or overflows."""
    x = np.random.default_rng(0).normal(size=(N, D)).astype("float32")
    if bad is not None:
        x[-1, 0] = bad
    return x


def make(policy):
    import delvm_tf as dv

    keras.config.set_dtype_policy(policy)
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
    network = keras.Sequential([keras.Input((D,)), *layers])
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(D)])
    model = dv.Autoencoder(network, decoder, normalization="none")
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.1, use_ema=True)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0)
    model.compile(optimizer)
    return model


def state(model):
    """All variables as each replica has them, but for the loss scale and its count."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return [
        part.numpy()
        for variable in (*model.variables, *optimizer.variables)
        for part in tf.distribute.get_strategy().experimental_local_results(variable.value)
    ]


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import delvm_tf as dv

    for policy, bad in (("float32", np.nan), ("mixed_float16", 1e4)):
        with dv.distribution.strategy("mirrored").scope():
            model = make(policy)
            model.fit(rows(None), batch_size=N, verbose=0)
            before = state(model)
            model.train_on_batch(rows(bad))
            after = state(model)
            same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            shrunk = policy == "float32" or model.optimizer.dynamic_scale.numpy() == 32.0
            model.train_on_batch(rows(None))
            moved = any(not np.array_equal(a, b) for a, b in zip(after, state(model), strict=True))
            finite = all(np.isfinite(value).all() for value in state(model))
            sys.stdout.write(f"{policy} {len(before)} {same} {shrunk} {moved} {finite}\n")


if __name__ == "__main__":
    main()
