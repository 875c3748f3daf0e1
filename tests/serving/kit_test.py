"""The files for the server say what the server understands."""

import re
from pathlib import Path

import pytest
from google.protobuf import text_format

FOLDER = Path(__file__).parents[2] / "saved_models"


def parsed(name, message):
    return text_format.Parse((FOLDER / name).read_text(), message)


def test_the_models_are_where_the_export_writes_them():
    from tensorflow_serving.config import model_server_config_pb2

    config = parsed("models.config", model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("ecg5000", "/models/ecg5000")
    assert model.model_version_policy.latest.num_versions == 1


def test_going_back_a_version_is_as_the_comment_says():
    from tensorflow_serving.config import model_server_config_pb2

    text = (FOLDER / "models.config").read_text()
    text = re.sub(r"    model_version_policy.*latest.*", "", text)
    text = re.sub(r"# (model_version_policy|version_labels)", r"\1", text)
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [1]
    assert model.version_labels["stable"] == 1


def test_batches_are_no_larger_than_the_export_allows():
    text = (FOLDER / "batching.config").read_text()
    assert int(re.search(r"max_batch_size { value: (\d+) }", text)[1]) <= 4096


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_containers_read_the_files_that_are_there(name):
    text = (FOLDER / name).read_text()
    named = re.findall(r"/models/([a-z]+\.config)", text)
    assert set(named) >= {"models.config", "monitoring.config"}
    assert all((FOLDER / file).is_file() for file in named)
    assert "\t" not in text
