"""How an energy is learned: objectives ask a model for derivatives and return a loss."""
