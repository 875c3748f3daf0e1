"""Figures of merit of drawn images: what a classifier sees in them, and how near they are to data.

`Judge` gives all of them. Each has a file of its own, on arrays alone: Fréchet distance, precision
and recall, two-sample tests, nearness to training images.
"""
