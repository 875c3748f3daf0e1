"""An objective that is given to `compile` is as good as one that a model is made with."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
SETTLED = {"loss", "reconstruction_error", "gradient_norm"}


def delvm(objective=None):
    model = dv.DELVM(dv.networks.ffnn((4,), "tanh", seed=0), objective=objective)
    model.adapt(X)
    return model


def persistent(**settings):
    return dv.ContrastiveDivergence(persistent=True, chains=10, seed=3, **settings)


OBJECTIVES = {
    "score matching": dv.ScoreMatching,
    "denoising": lambda: dv.DenoisingScoreMatching(sigma=0.5, seed=3),
    "chains": persistent,
}


def reported(model):
    return {
        name: values[0] for name, values in model.fit(X, shuffle=False, verbose=0).history.items()
    }


# Terms and chains that come, go and stay; the other pairs add nothing to these but time.
PAIRS = [("score matching", "chains"), ("chains", "denoising"), ("denoising", "score matching"),
         ("chains", "chains")]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(*pair, marks=() if pair in PAIRS else pytest.mark.slow)
        for pair in itertools.product(OBJECTIVES, repeat=2)
    ],
)
def test_a_model_learns_as_if_it_were_made_with_the_objective(before, after):
    made, told = delvm(OBJECTIVES[after]()), delvm(OBJECTIVES[before]())
    told.compile("adam")
    made.compile("adam")
    told.compile("adam", objective=OBJECTIVES[after]())
    expected, found = reported(made), reported(told)
    assert found.keys() == expected.keys()
    assert {*found} == SETTLED | {*made.objective.term_names}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    assert [v.shape for v in told.variables] == [v.shape for v in made.variables]


def test_chains_go_with_the_objective_that_has_them():
    model = delvm(persistent())
    model.compile("adam")
    reported(model)
    count = len(model.variables)
    model.compile("adam", objective=dv.ScoreMatching())
    assert len(model.variables) < count
    reported(model)
    model.compile("adam", objective=persistent())
    assert model.objective.pool.state.shape == (10, 3)
    assert not np.any(model.objective.pool.started.numpy())
    reported(model)
    assert np.all(model.objective.pool.started.numpy())


def test_compiling_again_without_one_keeps_the_objective():
    model = delvm()
    objective = persistent()
    model.compile("adam", objective=objective)
    reported(model)
    model.compile("sgd")
    assert model.objective is objective
    assert np.all(objective.pool.started.numpy())


def test_compiling_before_the_model_is_built_is_as_good():
    model = dv.DELVM(dv.networks.ffnn((4,)))
    model.compile("adam", objective=persistent())
    model.adapt(X)
    assert "chain_energy" in reported(model)


def test_a_saved_model_keeps_it_with_its_chains(tmp_path):
    model = delvm()
    model.compile("adam")
    reported(model)
    model.compile("adam", objective=persistent())
    reported(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.objective, dv.ContrastiveDivergence)
    np.testing.assert_array_equal(again.objective.pool.state, model.objective.pool.state)
    expected, found = reported(model), reported(again)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_checkpoint_keeps_it_too(tmp_path):
    model, again = delvm(), delvm(persistent())
    model.compile("adam", objective=persistent())
    again.compile("adam")
    reported(model)
    reported(again)
    again.objective.pool.state.assign(np.zeros((10, 3)))
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=again).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(again.objective.pool.state, model.objective.pool.state)
    np.testing.assert_array_equal(again.energy(X), model.energy(X))


@pytest.mark.parametrize(
    ("make", "objective", "message"),
    [
        (delvm, "mse", "objective must be an Objective such as dv.ScoreMatching.*got 'mse'"),
        (
            lambda: dv.Autoencoder(dv.networks.ffnn((2,))),
            dv.ScoreMatching(),
            "learns an energy, and Autoencoder has none; use objective=dv.Reconstruction",
        ),
        (lambda: dv.BernoulliRBM(2), dv.ScoreMatching(), "are binary, which have none"),
        (
            lambda: dv.BernoulliRBM(2),
            dv.ContrastiveDivergence(sampler="mala"),
            "can only be Gibbs sampled",
        ),
        (lambda: dv.DBN((3, 2)), dv.ScoreMatching(), "a DBN learns each layer as a Boltzmann"),
        (
            lambda: dv.CEBM(dv.networks.ffnn((3,)), latents=2, normalization="none"),
            dv.ContrastiveDivergence(sampler="gibbs"),
            "has no Gibbs sampler",
        ),
    ],
    ids=["a loss", "autoencoder", "binary", "binary chains", "stack", "no Gibbs"],
)
def test_what_the_constructor_refuses_is_refused_and_changes_nothing(make, objective, message):
    model = make()
    model.build((None, 3))
    before, optimizer = model.objective, getattr(model, "optimizer", None)
    with pytest.raises(TypeError, match=message):
        model.compile("adam", objective=objective)
    assert model.objective is before
    assert getattr(model, "optimizer", None) is optimizer


def test_an_unknown_optimizer_changes_nothing():
    model = delvm()
    before = model.objective
    with pytest.raises(ValueError, match="no such optimizer"):
        model.compile("no such optimizer", objective=persistent())
    assert model.objective is before


def test_each_machine_of_a_stack_gets_its_own(tmp_path):
    told = dv.DBN((3, 2), seed=0)
    made = dv.DBN((3, 2), objective=persistent(k=2, data_noise=0.1), seed=0)
    for model in (told, made):
        model.adapt(X)
        model.compile("adam")
    told.compile("adam", objective=persistent(k=2, data_noise=0.1))
    assert [m.objective.data_noise for m in told.machines] == [0.1, 0.0]
    assert reported(told) == pytest.approx(reported(made), rel=1e-5)
    told.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [m.objective.k for m in again.machines] == [2, 2]


def test_models_are_told_on_several_replicas():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = delvm()
        model.compile("adam", objective=persistent())
    assert np.isfinite(reported(model)["loss"])
