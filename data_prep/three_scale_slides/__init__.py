"""Slides whose answer is written at one of three magnifications."""
