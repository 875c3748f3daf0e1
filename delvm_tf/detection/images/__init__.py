"""The detector of images that was given no model."""
