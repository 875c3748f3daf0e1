"""Where things are written, and what may be replaced or deleted there."""
