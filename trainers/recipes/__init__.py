"""Settings chosen on data carved from training parts: TOML files, and reading them by name."""

from pathlib import Path
from typing import TypeVar

from delvm_tf.catalog import Recipe, Recipes

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
Kind = TypeVar("Kind", bound=Recipe)


def recipes_in(name: str, kind: type[Kind]) -> Recipes[Kind]:
    """The recipes of a file of this folder by its name, or of any other by its path.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if there is something wrong in it, and what.
    """
    if name in NAMES:
        return Recipes(FOLDER / f"{name}.toml", kind)
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"there are no recipes {name}: neither a file, nor one of {', '.join(NAMES)}"
        )
    return Recipes(name, kind)
