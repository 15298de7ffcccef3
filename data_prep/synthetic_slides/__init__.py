"""Slides whose informative places are known."""
