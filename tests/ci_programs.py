"""The programs of `.ci`, whose folder is no package."""

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".ci"


def ci_program(name):
    """The module of a program by its name."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
