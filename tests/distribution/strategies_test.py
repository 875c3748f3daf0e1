import pytest
import tensorflow as tf

import delvm_tf as dv


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def test_one_device_needs_no_strategy():
    assert dv.distribution.strategy("one") is tf.distribute.get_strategy()
    assert dv.distribution.strategy("auto") is tf.distribute.get_strategy()


def test_mirrored_takes_the_devices_there_are():
    chosen = dv.distribution.strategy("mirrored")
    assert isinstance(chosen, tf.distribute.MirroredStrategy)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert chosen.num_replicas_in_sync == len(devices)
    assert dv.distribution.strategy("mirrored", ["/cpu:0"]).num_replicas_in_sync == 1


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected one of auto, one, mirrored"):
        dv.distribution.strategy("horovod")
    with pytest.raises(ValueError, match="devices are for"):
        dv.distribution.strategy("tpu", ["/cpu:0"])
    with pytest.raises(ValueError, match="needs TF_CONFIG"):
        dv.distribution.strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", "nonsense")
    with pytest.raises(ValueError, match="cannot be understood"):
        dv.distribution.strategy("auto")


def test_without_a_tpu_that_is_said(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ValueError, match="no TPU can be reached"):
        dv.distribution.strategy("tpu")
