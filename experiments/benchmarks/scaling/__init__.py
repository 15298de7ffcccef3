"""Time and memory against the slide's size."""
