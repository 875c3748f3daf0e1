"""How a model is trained: its Keras entries, steps, backups, guards, layer by layer, in workers."""
