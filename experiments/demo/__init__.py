"""The demo over several seeds."""
