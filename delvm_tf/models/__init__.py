"""What is learned: energies over inputs, as Keras models."""
