"""The folder of a model: a detector, what serves it, and what people read of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delvm.arguments import no_folder
from delvm_tf.detection import content
from delvm_tf.serving import ModelCard, model_card
from delvm_tf.serving.saved import folder_of
from delvm_tf.storage.paths import local_path

SERVING, CARD, REPORT = "serving", "model_card.md", "report.html"
FIT = "fit"  # where a served model's card keeps what `delvm fit` knows


def served_folder(model: Path, version: int | None = None) -> Path:
    """The folder of a served version, of a model of `delvm fit` or of an exported one.

    Raises:
        FileNotFoundError: if there is none.
    """
    model = existing(model)
    if is_detector(model) and not (model / SERVING).is_dir():
        raise FileNotFoundError(
            f"{model} is a detector that is not ready to be served; export it first: "
            f"delvm export {model} -o saved_models/mine"
        )
    served = folder_of(model / SERVING if is_detector(model) else model, version)
    if not (served / model_card.FILE).is_file():
        raise FileNotFoundError(
            f"{model} holds no model (there is no {served / model_card.FILE}); give a folder that "
            f"delvm fit or delvm export wrote"
        )
    return served


def card_of(model: Path) -> ModelCard | None:
    """The card of the newest served version; None of a detector that has none."""
    if is_detector(existing(model)) and not (model / SERVING).is_dir():
        return None
    return ModelCard.read(served_folder(model))


def summary_of(card: ModelCard | None) -> Mapping[str, Any] | None:
    """What `delvm fit` wrote down of a model, if it was that."""
    return None if card is None else card.about.get(FIT)


def is_detector(model: Path) -> bool:
    """Whether a folder is a saved detector."""
    return (model / content.RECORD).is_file()


def existing(model: Path) -> Path:
    """The folder of a model, or an error."""
    model = local_path(model, "the folder of the model")
    if not model.is_dir():
        raise FileNotFoundError(no_folder(model))
    return model
