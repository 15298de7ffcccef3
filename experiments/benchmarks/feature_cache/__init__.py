"""What the cache of features saves, and that it keeps to its bounds."""
