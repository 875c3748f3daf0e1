"""One energy for all noise levels."""
