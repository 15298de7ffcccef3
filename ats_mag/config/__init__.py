"""The configuration of a run: its keys, their defaults, reading and writing it."""
