"""Checking a configuration, its manifest and its slides before anything long starts."""
