"""Patches per second from slide files."""
