"""TensorFlow's advice on functions that are traced again and again."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def new_functions() -> Iterator[None]:
    """Within it functions of new models are traced, of which TensorFlow says nothing.

    It counts tracings by the place in the code and not by the function, so a cross-validation that
    trains five models would be warned of a loop that traces one function five times.
    """
    logger = logging.getLogger("tensorflow")

    def wanted(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
