"""What users hand in: arrays, tables and streams, and the names of their columns."""
