"""Writing slides: pyramids, and flat images as pyramids."""
