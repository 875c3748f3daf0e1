"""Boltzmann machines: the shallow and stacked ancestors of deep energy-based models."""
