"""Settings chosen on data carved from training parts, by data set."""
