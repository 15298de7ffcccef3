"""Patches out of images in memory."""
