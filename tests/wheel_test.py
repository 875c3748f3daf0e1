"""What is published: library and command alone, which work by themselves in a new environment."""

import sys
import tarfile
import zipfile

import pytest
from ci_programs import ci_program


@pytest.fixture(scope="module")
def pythons():
    return ci_program("pythons")


@pytest.fixture(scope="module")
def published(pythons, tmp_path_factory):
    """The wheel and the source archive."""
    return pythons.build(sys.executable, tmp_path_factory.mktemp("published"))


@pytest.mark.slow
def test_it_holds_library_command_and_data_and_nothing_of_the_laboratory(published):
    wheel, archive = published
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"delvm", "delvm_tf"}
    assert any(name.endswith("ecg5000.npz") for name in names)
    assert "delvm_tf/py.typed" in names
    with tarfile.open(archive) as file:
        sources = {name.partition("/")[2] for name in file.getnames()}
    code = {name for name in names if ".dist-info/" not in name}
    assert code <= sources
    assert not {name.split("/")[0] for name in sources} & {"tests", "trainers", "tuning"}


@pytest.mark.slow
def test_installed_alone_it_fits_and_serves(published, pythons, tmp_path):
    python = pythons.environment(sys.executable, tmp_path / "env")
    pythons.install(python, published[0], [])
    pythons.use(python, tmp_path / "use")
    assert (tmp_path / "use" / "model" / "report.html").stat().st_size > 1000
    assert (tmp_path / "use" / "scores.csv").read_text().startswith('"file","row"')
