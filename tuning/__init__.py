"""Searching for settings with KerasTuner."""

from tuning.measures import MEASURES
from tuning.space import SPACES, Setting, Space
from tuning.tuner import TUNERS, make_tuner

__all__ = ["MEASURES", "SPACES", "TUNERS", "Setting", "Space", "make_tuner"]
