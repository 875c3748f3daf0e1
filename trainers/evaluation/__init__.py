"""Measuring features and densities, and tables of results."""
