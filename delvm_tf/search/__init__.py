"""Searching for settings with KerasTuner."""

from delvm_tf.search.measures import MEASURES
from delvm_tf.search.space import Fixed, Options, Range, Space
from delvm_tf.search.spaces import SPACES
from delvm_tf.search.tuner import TUNERS, make_tuner

__all__ = ["MEASURES", "SPACES", "TUNERS", "Fixed", "Options", "Range", "Space", "make_tuner"]
