"""Samplers that go from the largest noise level of a model to its smallest."""
