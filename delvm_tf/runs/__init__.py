"""What programs have in common: arguments, recipes, and results that survive an interruption."""
