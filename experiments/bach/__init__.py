"""BACH, from the unpacked photographs to a table."""
