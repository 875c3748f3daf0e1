import runpy
import subprocess
import sys
import traceback

import pytest


@pytest.fixture
def run_here(monkeypatch, capsys, tmp_path):
    """Run a program in this process, which spares the seconds that starting TensorFlow takes."""

    def run(program, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(program), *arguments])
        capsys.readouterr()
        status = 0
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            status = 1
        return subprocess.CompletedProcess(sys.argv, status, *capsys.readouterr())

    return run
