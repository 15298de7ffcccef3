"""Writes the measured tables and figures of README.md and docs/."""
