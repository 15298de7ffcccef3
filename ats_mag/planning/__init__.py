"""Planning a run: what slides and manifest say of themselves, and the configuration that follows from it."""
