"""How many patches adaptive prediction reads, and what a fixed N would need."""
