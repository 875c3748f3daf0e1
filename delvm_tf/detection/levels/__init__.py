"""The detector of a table that was given no model: energies of rows at several noise levels."""
