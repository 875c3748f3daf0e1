import logging

import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.training.tracing import new_functions


def of_new_models(step):
    for _ in range(7):
        tf.function(step)(tf.constant(1))


def test_functions_of_new_models_are_no_fault(caplog):
    caplog.set_level(logging.WARNING, "tensorflow")
    with new_functions():
        of_new_models(lambda x: x + 1)
    assert not caplog.records
    of_new_models(lambda x: x + 2)
    assert "triggered tf.function retracing" in caplog.text


@pytest.mark.parametrize(
    "model", [None, pytest.param(dv.catalog.default_recipe(), marks=pytest.mark.slow)]
)
def test_detectors_one_after_the_other_are_silent(caplog, rng, model):
    caplog.set_level(logging.WARNING, "tensorflow")
    x = rng.normal(size=(60, 3))
    for _ in range(6):
        dv.AnomalyDetector(model, epochs=1, contamination=0.2).fit(x)
    assert "retracing" not in caplog.text
