"""Searching for settings with KerasTuner."""

from tuning.measures import MEASURES
from tuning.space import Fixed, Options, Range, Space
from tuning.spaces import SPACES
from tuning.tuner import TUNERS, make_tuner

__all__ = ["MEASURES", "SPACES", "TUNERS", "Fixed", "Options", "Range", "Space", "make_tuner"]
