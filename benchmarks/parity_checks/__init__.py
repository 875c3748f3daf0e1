"""What a detector says wherever it is served, for the table of parity and for tests."""
