"""The classes that a saved detector may be made of, by name."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

Class = TypeVar("Class", bound=type)


class Savable(NamedTuple):
    """How objects of a class are written.

    Args:
        cls: the class.
        arguments: attributes that its constructor takes under the same names; None for one whose
            attributes are all written and set again.
    """

    cls: type
    arguments: tuple[str, ...] | None


SAVABLE: dict[str, Savable] = {}


def register(*arguments: str) -> Callable[[Class], Class]:
    """Let saved detectors hold objects of a class. A `Criterion` needs it not.

    A class may name `needed` attributes, without which a saved object is refused: those that came
    when what it computes changed.

    Args:
        *arguments: attributes that its constructor takes under the same names; without any all
            attributes are written and set again.

    Examples:
        >>> @dv.detection.register("factor")
        ... class Scaled:
        ...     def __init__(self, factor):
        ...         self.factor = factor
        ...     def __call__(self, x):
        ...         return self.factor * x
        >>> residual = dv.detection.FeatureDetector(Scaled(2.0), dv.detection.PCAResidual(2)).fit(x)
        >>> folder = dv.AnomalyDetector(residual, contamination=0.1).fit(x).save("detector")
        >>> dv.load_detector("detector").model_.features.factor
        2.0
    """

    def registered(cls: Class) -> Class:
        SAVABLE[name_of(cls)] = Savable(cls, arguments or None)
        return cls

    return registered


def name_of(cls: type) -> str:
    """What files call a class: its name, or if it is not of this library, where it is from too."""
    package = cls.__module__.partition(".")[0]
    return cls.__name__ if package == "delvm_tf" else f"{cls.__module__}.{cls.__qualname__}"
