"""Tables as they are: which columns there are, what is in them, and how they become numbers."""

from delvm_tf.schema.kinds import Category, Number
from delvm_tf.schema.learning import learn_schema
from delvm_tf.schema.schema import Schema

__all__ = ["Category", "Number", "Schema", "learn_schema"]
