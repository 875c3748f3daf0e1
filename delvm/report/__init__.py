"""What people read of a model: a page with a figure, and a card."""
