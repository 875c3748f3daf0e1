"""Pictures that only experiments draw."""
