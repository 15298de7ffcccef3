"""How much of the reading hides behind computing."""
