"""Settings of tests with inputs that are made up."""

from hypothesis import HealthCheck, settings


def fuzzed(size):
    """Settings for so many inputs, the same ones each time."""
    return settings(
        max_examples=size, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
