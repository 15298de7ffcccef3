"""Draws from an attention, their weights, and what keeps the attention open."""
