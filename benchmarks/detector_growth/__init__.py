"""Parts of `benchmarks/detectors.py`."""
