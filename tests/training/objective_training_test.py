"""Whatever way data reach a model, they are read, checked and normalised alike."""

import itertools
import warnings

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf

import delvm_tf as dv

D = 3
NAMES = ["a", "b", "c"]
SHUFFLED = ["b", "a", "c"]


def rows(n=20):
    return np.random.default_rng(0).normal(size=(n, D)) * [1.0, 2.0, 3.0] + [5.0, 0.0, -5.0]


def model(normalization="zscore", adapted=True, eager=False):
    made = dv.DELVM(dv.networks.ffnn((4,), "softplus", seed=0), normalization=normalization)
    made.compile("sgd", run_eagerly=eager)
    if adapted:
        made.adapt(rows())
    return made


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[10 * index : 10 * index + 10]


def generator(x):
    for start in (0, 10):
        yield (x[start : start + 10],)


# Each gives numbers that depend on x; fit the weights after a step.
ENTRIES = {
    "fit": lambda m, x: (m.fit(x, verbose=0, batch_size=20), m.get_weights()[-2])[1],
    "validation": lambda m, x: m.fit(x, validation_data=(x,), verbose=0).history["val_loss"],
    "evaluate": lambda m, x: m.evaluate(x, verbose=0),
    "predict": lambda m, x: m.predict(x, verbose=0),
    "train_on_batch": lambda m, x: (m.train_on_batch(x), m.get_weights()[-2])[1],
    "test_on_batch": lambda m, x: m.test_on_batch(x),
    "predict_on_batch": lambda m, x: m.predict_on_batch(x),
    "call": lambda m, x: m(x),
    "energy": lambda m, x: m.energy(x),
    "score": lambda m, x: m.score(x),
    "hidden": lambda m, x: m.hidden(x),
    "features": lambda m, x: m.features(x),
    "reconstruct": lambda m, x: m.reconstruct(x),
    "reconstruction_error": lambda m, x: m.reconstruction_error(x),
    "apply": lambda m, x: m.apply("square", tf.square, x),
    "sample": lambda m, x: m.sample(20, "gibbs", steps=1, initial=x, seed=0),
}
STREAMED = ["fit", "evaluate", "predict"]  # by Keras
EAGER = ["fit", "validation", "evaluate"]  # read alike without a graph, which takes long to build
every_entry = pytest.mark.parametrize("entry", ENTRIES)


def crossed(kinds, everywhere, adapt=True):
    """Some kinds at every entry, and the others at one that Keras reads and one of its own.

    Of some kinds, the first is always at every entry and the others in the long tests.
    """
    entries = [*ENTRIES, "adapt"] if adapt else [*ENTRIES]
    some = ["fit", "energy"]
    pairs = [(e, k) for k in kinds for e in (entries if k in everywhere else some)]
    slow = [*everywhere][1:]
    return [
        pytest.param(e, k, marks=pytest.mark.slow if k in slow and e not in some else ())
        for e, k in pairs
    ]


def call(entry, m, x):
    return m.adapt(x) if entry == "adapt" else ENTRIES[entry](m, x)


# Names.


def named_model(eager=False):
    made = model(adapted=False, eager=eager)
    made.adapt(pd.DataFrame(rows(), columns=NAMES))
    assert made.feature_names_in_ == tuple(NAMES)
    return made


@every_entry
@pytest.mark.parametrize(
    ("columns", "message"),
    [(SHUFFLED, "same order"), (["a", "b", "d"], "unseen.*\n- d\n.*missing:\n- c")],
)
def test_other_columns_are_refused(entry, columns, message):
    with pytest.raises(ValueError, match=message):
        ENTRIES[entry](named_model(), pd.DataFrame(rows(), columns=columns))


@every_entry
def test_the_right_columns_pass_in_silence_and_none_with_a_warning(entry):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names")
        ENTRIES[entry](named_model(entry in EAGER), pd.DataFrame(rows(), columns=NAMES))
    with pytest.warns(UserWarning, match="x does not have feature names, but DELVM was fitted"):
        ENTRIES[entry](named_model(entry in EAGER), rows())


def test_validation_data_are_read_as_training_data_are():
    right, wrong = (pd.DataFrame(rows(), columns=columns) for columns in (NAMES, SHUFFLED))
    with pytest.raises(ValueError, match="same order"):
        named_model().fit(right, validation_data=(wrong,), verbose=0)
    with pytest.raises(ValueError, match="same order"):
        named_model().fit(right, validation_data=wrong, verbose=0)
    with pytest.raises(ValueError, match="3 masked values"):
        model().fit(rows(), validation_data=(masked(),), verbose=0)


@pytest.mark.parametrize("entry", [*STREAMED, "energy", "reconstruct"])
def test_streams_are_matched_by_their_names(entry):
    stream = tf.data.Dataset.from_tensor_slices(rows()).batch(10)
    stream.feature_names_in_ = tuple(SHUFFLED)
    with pytest.raises(ValueError, match="same order"):
        ENTRIES[entry](named_model(), stream)
    with pytest.raises(ValueError, match="same order"):
        ENTRIES[entry](named_model(), Batches(pd.DataFrame(rows(), columns=SHUFFLED)))
    made = model(adapted=False)
    made.adapt(stream)
    assert made.feature_names_in_ == tuple(SHUFFLED)


def test_names_last_as_long_as_the_statistics(tmp_path):
    made = named_model()
    made.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").feature_names_in_ == tuple(NAMES)
    with pytest.raises(ValueError, match="NaN"):
        made.adapt(pd.DataFrame(rows() * np.nan, columns=SHUFFLED))
    assert made.feature_names_in_ == tuple(NAMES)
    made.adapt(rows())
    assert made.feature_names_in_ is None


def test_a_model_that_needs_no_adapt_takes_the_names_from_its_first_fit():
    made = model("none", adapted=False)
    with pytest.raises(ValueError, match="NaN"):
        made.fit(pd.DataFrame(rows() * np.nan, columns=NAMES), verbose=0)
    assert made.feature_names_in_ is None
    made.fit(pd.DataFrame(rows(), columns=NAMES), verbose=0)
    with pytest.raises(ValueError, match="same order"):
        made.energy(pd.DataFrame(rows(), columns=SHUFFLED))


# Kinds of data.

LIKE_ARRAYS = {
    "list": lambda x: x.tolist(),
    "tuple of rows": lambda x: tuple(x),
    "pandas": lambda x: pd.DataFrame(x),
    "nullable pandas": lambda x: pd.DataFrame(x).convert_dtypes(),
    "polars": lambda x: pl.DataFrame(x, schema=NAMES),
    "pyarrow": lambda x: pa.table(dict(zip(NAMES, x.T, strict=True))),
    "tensor": lambda x: tf.constant(x),
    "matrix": lambda x: np.asmatrix(x),
    "unmasked": lambda x: np.ma.array(x),
    "big endian": lambda x: x.astype(">f8"),
}


@pytest.mark.parametrize(("entry", "kind"), crossed(LIKE_ARRAYS, ["list", "polars"]))
@pytest.mark.filterwarnings("ignore:x has feature names")
def test_what_holds_numbers_gives_what_the_array_gives(entry, kind):
    keras.utils.set_random_seed(0)
    expected, made = (model(eager=entry in EAGER) for _ in range(2))
    value = call(entry, expected, rows())
    again = call(entry, made, LIKE_ARRAYS[kind](rows()))
    if entry == "adapt":
        value, again = expected.normalization.gain, made.normalization.gain
    np.testing.assert_allclose(again, value, rtol=1e-6, atol=1e-6)


def masked():
    return np.ma.array(rows(), mask=np.eye(20, D, dtype=bool))


REFUSED = {
    "masked values": (masked, ValueError, "3 masked values"),
    "NA": (lambda: pd.DataFrame(rows()).convert_dtypes().mask(masked().mask), ValueError, "NaN"),
    "text": (lambda: pd.DataFrame(rows(), columns=NAMES).assign(s="a"), TypeError, "columns 's'"),
    "records": (lambda: rows().view([("a", "f8")]), TypeError, "real numbers.*DataFrame"),
    "times": (lambda: rows().astype("m8[s]"), TypeError, "real numbers"),
    "complex": (lambda: rows().astype(complex), TypeError, r"real numbers.*x\.real"),
    "sparse": (lambda: scipy.sparse.csr_matrix(rows()), TypeError, r"x\.toarray\(\)"),
    "ragged": (lambda: tf.RaggedTensor.from_tensor(rows()), TypeError, "to_tensor"),
    "a number": (lambda: np.float32(3), ValueError, r"got \(\)"),
    "unequal rows": (lambda: [[1.0, 2.0, 3.0], [1.0]], ValueError, "differ in length"),
    "missing in a list": (lambda: [[1.0, 2.0, None]] * 20, TypeError, "dtype object"),
}


@pytest.mark.parametrize(("entry", "kind"), crossed(REFUSED, ["masked values", "text"]))
@pytest.mark.filterwarnings("ignore:x has feature names")
def test_what_holds_none_is_refused(entry, kind):
    made, error, message = REFUSED[kind]
    with pytest.raises(error, match=message):
        call(entry, model(), made())


@pytest.mark.parametrize("entry", [*STREAMED, "energy"])
def test_masked_batches_of_streams_are_refused(entry):
    with pytest.raises(ValueError, match="masked values"):
        ENTRIES[entry](model(), Batches(masked()))
    if entry in STREAMED:
        with pytest.raises(ValueError, match="masked values"):
            ENTRIES[entry](model(), generator(masked()))


@pytest.mark.parametrize("entry", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_masked_labels_and_weights_are_refused(entry):
    quiet = {"verbose": 0} if entry in STREAMED else {}
    for name in ("y", "sample_weight"):
        given = {"y": np.zeros(20), name: np.ma.array(np.ones(20), mask=np.arange(20) == 3)}
        with pytest.raises(ValueError, match="1 masked values"):
            getattr(model(), entry)(rows(), **given, **quiet)


# Offsets.

OFFSET = 1.7e9  # seconds from 1970 to 2023
WHOLE = np.round(rows() * 1000)  # in milliseconds, say
WIDE = {
    "float64": lambda x: x,
    "int64": lambda x: x.astype(np.int64),
    "int32": lambda x: x.astype(np.int32),
    "uint32": lambda x: x.astype(np.uint32),
    "a frame": lambda x: pd.DataFrame(x),
    "a list": lambda x: x.tolist(),
}


def offset_pair(mode, convert, eager=False):
    """A model of data without and one of data with the offset."""
    pair = [model(mode, adapted=False, eager=eager) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*spreads away from zero")
        pair[0].adapt(WHOLE)
        pair[1].adapt(convert(WHOLE + OFFSET))
    return pair


@pytest.mark.parametrize(("entry", "kind"), crossed(WIDE, ["float64", "int64"], adapt=False))
def test_an_offset_changes_nothing(entry, kind):
    keras.utils.set_random_seed(0)
    plain, moved = offset_pair("zscore", WIDE[kind], eager=entry in EAGER and kind != "float64")
    expected = np.asarray(ENTRIES[entry](plain, WHOLE))
    got = np.asarray(ENTRIES[entry](moved, WIDE[kind](WHOLE + OFFSET)))
    if entry in ("predict", "predict_on_batch", "call", "reconstruct", "sample"):  # in raw units
        assert got.dtype == np.float64
        np.testing.assert_allclose(got - OFFSET, expected, rtol=1e-4, atol=0.1)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["center", "zscore", "minmax", "zca"])
def test_an_offset_changes_nothing_in_any_normalisation(mode):
    plain, moved = offset_pair(mode, WIDE["float64"])
    expected, got = plain.energy(WHOLE), moved.energy(WHOLE + OFFSET)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        moved.reconstruct(WHOLE + OFFSET) - OFFSET, plain.reconstruct(WHOLE), rtol=1e-4, atol=0.1
    )


@pytest.mark.parametrize("entry", [*STREAMED, "energy"])
def test_an_offset_changes_nothing_in_streams(entry):
    keras.utils.set_random_seed(0)
    moved = offset_pair("zscore", WIDE["float64"])[1]
    x = WHOLE + OFFSET
    expected = np.asarray(ENTRIES[entry](offset_pair("zscore", WIDE["float64"])[1], x))
    stream = tf.data.Dataset.from_tensor_slices(x).batch(20)
    np.testing.assert_allclose(ENTRIES[entry](moved, stream), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_streams_are_trained_on_without_a_warning(kind):
    stream = tf.data.Dataset.from_tensor_slices(rows()).batch(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        data = stream if kind == "dataset" else itertools.repeat(rows())
        model().fit(data, steps_per_epoch=2, verbose=0)


def test_an_offset_changes_nothing_in_a_split_or_with_labels_and_weights():
    def history(m, x):
        keras.utils.set_random_seed(0)
        labels, weights = np.arange(20) % 2, np.linspace(1, 2, 20)
        return m.fit(x, labels, sample_weight=weights, validation_split=0.25, batch_size=4,
                     epochs=2, verbose=0).history  # fmt: skip

    plain, moved = offset_pair("zscore", WIDE["float64"])
    expected, got = history(plain, WHOLE.astype(np.float32)), history(moved, WHOLE + OFFSET)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-4, err_msg=name)


def test_float64_arrays_are_split_and_shuffled_as_float32_arrays_are():
    results = []
    for dtype in (np.float32, np.float64):
        keras.utils.set_random_seed(0)
        made = model()
        made.fit(rows().astype(np.float32).astype(dtype), batch_size=3, epochs=2, verbose=0)
        results.append(made.get_weights()[-1])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["center", "zscore", "minmax", "zca", "none"])
def test_adapt_warns_where_float32_would_not_do(mode):
    with pytest.warns(UserWarning, match=r"3 of 3|1 of 1 features lie more than 100000 spreads"):
        model(mode, adapted=False).adapt(rows() + OFFSET)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*spreads away from zero")
        model(mode, adapted=False).adapt(rows() + 1e4)


# Models that are not ready.


@every_entry
def test_a_model_that_is_not_adapted_says_so(entry):
    for built in (False, True):
        made = model(adapted=False)
        if built:
            made.build((None, D))
        with pytest.raises(ValueError, match=r"not adapted.*model.adapt\(x\)"):
            ENTRIES[entry](made, rows())
        if entry in STREAMED:
            for stream in (Batches(rows()), generator(rows())):
                with pytest.raises(ValueError, match=r"not adapted.*model.adapt\(x\)"):
                    ENTRIES[entry](made, stream)


@pytest.mark.parametrize(
    ("entry", "normalization"),
    [
        *((name, "none") for name in ENTRIES if name != "sample"), ("predict", None),
        *(pytest.param(name, None, marks=pytest.mark.slow) for name in ENTRIES
          if name not in ("predict", "sample")),
    ],
)  # fmt: skip
def test_a_model_without_normalisation_is_built_by_any_data(entry, normalization):
    made = model(normalization, adapted=False)
    assert np.isfinite(np.asarray(ENTRIES[entry](made, rows()))).all()
    if entry in STREAMED:
        for stream in (
            Batches(rows()), generator(rows()),
            tf.data.Dataset.from_tensor_slices(rows()).batch(10),
            tf.data.Dataset.from_generator(
                lambda: iter([rows()]), output_signature=tf.TensorSpec(None)
            ),
        ):  # fmt: skip
            made = model(normalization, adapted=False)
            assert np.isfinite(np.asarray(ENTRIES[entry](made, stream))).all()


def test_a_model_in_a_graph_of_keras_or_tensorflow():
    made = model("none", adapted=False)
    inputs = keras.Input((D,))
    whole = keras.Model(inputs, made(inputs))
    np.testing.assert_allclose(whole(rows()), made(rows()), rtol=1e-5)
    np.testing.assert_allclose(tf.function(made)(rows()), made(rows()), rtol=1e-5)
    with pytest.raises(ValueError, match="not adapted"):
        tf.function(model(adapted=False))(rows())


def images(n=6):
    return np.random.default_rng(0).normal(size=(n, 7, 7, 1)).astype(np.float32)


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Conv2D(2, 3)

    def call(self, x):
        return self.layer(x)


NETWORKS = {
    "cnn": lambda: dv.networks.cnn((2, 3), 3),
    "late": lambda: keras.Sequential(
        [keras.layers.Dense(2), keras.layers.BatchNormalization(), keras.layers.Reshape((7, 7, 2)),
         keras.layers.Conv2D(2, 3)]
    ),
    "subclass": Subclass,
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        pytest.param(
            entry, network, marks=pytest.mark.slow if entry == "fit" and network != "cnn" else ()
        )
        for entry in ("adapt", "fit", "predict", "energy") for network in NETWORKS
    ],
)  # fmt: skip
def test_data_that_a_network_cannot_take_leave_the_model_as_it_was(entry, network):
    made = dv.DELVM(NETWORKS[network](), normalization="none" if entry != "adapt" else "center")
    made.compile()
    with pytest.raises(ValueError):
        call(entry, made, images()[..., 0])
    assert not made.built
    assert made.input_shape_or_none is None
    call(entry, made, images())
    assert np.isfinite(made.energy(images())).all()


@pytest.mark.parametrize("bad", [np.nan, 1.0], ids=["NaN", "constant"])
def test_a_failed_adapt_of_another_shape_leaves_the_model_as_it_was(bad):
    made = model(adapted=False)
    with pytest.raises(ValueError):
        made.adapt(np.full((20, D + 1), bad))
    made.adapt(rows())
    before = [w.copy() for w in made.normalization.get_weights()]
    with pytest.raises(ValueError):
        made.adapt(np.full((20, D), bad))
    for a, b in zip(before, made.normalization.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_two_shapes_cannot_be_adapted_to():
    batches = tf.data.Dataset.from_generator(
        lambda: iter([rows(), rows()[:, :2]]), output_signature=tf.TensorSpec((None, None))
    )
    with pytest.raises(ValueError, match=r"expects x of shape \(batch, 3\), got \(20, 2\)"):
        model(adapted=False).adapt(batches)


def test_keras_exports_a_model_that_was_fitted_or_loaded_and_never_called(tmp_path):
    made = model()
    made.fit(rows(), verbose=0)
    made.save(tmp_path / "model.keras")
    x = rows().astype(np.float32)
    for name, each in (
        ("fitted", made), ("loaded", keras.saving.load_model(tmp_path / "model.keras"))
    ):  # fmt: skip
        each.export(tmp_path / name, verbose=False)
        served = tf.saved_model.load(tmp_path / name)
        np.testing.assert_allclose(served.serve(x), made.reconstruct(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"dv.serving.export_onnx\(model, path\)"):
        made.export(tmp_path / "model.onnx", format="onnx")
    assert not (tmp_path / "model.onnx").exists()
    with pytest.raises(ValueError, match=r"not built.*before exporting"):
        model("none", adapted=False).export(tmp_path / "unbuilt")
    with pytest.raises(ValueError, match="not adapted"):
        model(adapted=False).export(tmp_path / "unadapted")


# Functions that are compiled once.


def test_another_function_of_the_same_name_is_another_function():
    made = model("none", adapted=False)
    x = rows().astype(np.float32)
    for factor in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(made.apply("f", lambda z: factor * z, x), factor * x)  # noqa: B023
    scale = 2.0

    def scaled(z):
        return scale * z

    np.testing.assert_allclose(made.apply("g", scaled, x), 2 * x)
    scale = 5.0
    np.testing.assert_allclose(made.apply("g", scaled, x), 5 * x)

    class Scaled:
        factors = [2.0]  # noqa: RUF012

        def __call__(self, z):
            return self.factors[0] * z

    function = Scaled()
    made.apply("h", function, x)
    function.factors[0] = 5.0
    np.testing.assert_allclose(made.apply("h", function, x), 5 * x)


@pytest.mark.slow
def test_fresh_functions_do_not_pile_up_and_own_ones_are_compiled_once():
    made = model("none", adapted=False)
    for _ in range(40):
        made.apply("f", lambda z: z, rows(2))
    assert len(made._compiled_functions) == 0
    made = model()
    for _ in range(2):
        for name in ("energy", "score", "hidden", "features", "reconstruct",
                     "reconstruction_error"):  # fmt: skip
            getattr(made, name)(rows())
    assert len(made._compiled_functions) == 6
    cebm = dv.CEBM(dv.networks.ffnn((4,)), latents=2)
    cebm.adapt(rows())
    cebm.posterior(rows())
    cebm.posterior(rows())
    assert len(cebm._compiled_functions) == 1


def test_results_follow_new_statistics_weights_and_settings():
    made = model()
    made.energy(rows())
    made.predict(rows(), verbose=0)
    made.adapt(10 * rows())
    fresh = model(adapted=False)
    fresh.adapt(10 * rows())
    np.testing.assert_allclose(made.energy(rows()), fresh.energy(rows()), rtol=1e-5)
    machine = dv.DBM((4, 3), mean_field_steps=1, seed=0)
    machine.adapt(rows())
    machine.set_weights([w + 0.3 if w.dtype == np.float32 else w for w in machine.get_weights()])
    machine.hidden(rows())
    machine.mean_field_steps = 30
    other = dv.DBM((4, 3), mean_field_steps=30, seed=0)
    other.adapt(rows())
    other.set_weights(machine.get_weights())
    np.testing.assert_allclose(machine.energy(rows()), other.energy(rows()), rtol=1e-5)
    np.testing.assert_allclose(machine.hidden(rows()), other.hidden(rows()), rtol=1e-5)


def test_features_follow_the_layers_of_the_network():
    made = model()
    relu = made.features(rows())
    made.network.layers[0].activation = keras.activations.tanh
    assert np.abs(made.features(rows())).max() <= 1 < np.abs(relu).max()
    made.network.add(keras.layers.Dense(2))
    assert made.features(rows()).shape == (20, 6)


def test_settings_that_statistics_were_computed_with_cannot_change_beside_them():
    for name in ("mode", "scale", "zca_epsilon"):
        with pytest.raises(AttributeError):
            setattr(model().normalization, name, 2.0)


def test_a_generator_of_bare_batches_is_one_of_tuples():
    bare, tuples = model(), model()
    bare.fit((batch for (batch,) in generator(rows())), steps_per_epoch=2, verbose=0)
    tuples.fit(generator(rows()), steps_per_epoch=2, verbose=0)
    np.testing.assert_array_equal(bare.energy(rows()), tuples.energy(rows()))


@pytest.mark.parametrize(
    "learn",
    [
        lambda made, table: made.train_on_batch(table),
        lambda made, table: made.fit(Batches(table), verbose=0),
    ],
)
def test_the_first_data_without_adapt_give_the_names(learn):
    made = model("none", adapted=False)
    learn(made, pd.DataFrame(rows(), columns=NAMES))
    assert made.feature_names_in_ == tuple(NAMES)


def test_a_detector_knows_the_form_of_a_py_dataset():
    table = pd.DataFrame(rows(), columns=NAMES)
    detector = dv.AnomalyDetector(model("none", adapted=False)).fit(Batches(table))
    assert (detector.n_features_in_, [*detector.feature_names_in_]) == (D, NAMES)
    with pytest.raises(ValueError, match="same order"):
        detector.predict(Batches(table[SHUFFLED]))


def test_scores_by_layer_compare_names_themselves():
    table = pd.DataFrame(rows(), columns=NAMES)
    made = model(adapted=False)
    made.adapt(table)
    detector = dv.detection.FeatureDetector(
        dv.detection.LayerScores(made), dv.detection.PrincipalGaussian(1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        detector.fit(table).score_samples(table)
