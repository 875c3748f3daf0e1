"""The command `delvm`, and what it shares with the programs of the laboratory.

Nothing here imports TensorFlow before a command runs, so that help and wrong usage cost no seconds.
"""
