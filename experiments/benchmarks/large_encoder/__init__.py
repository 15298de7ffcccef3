"""A prediction with an encoder as large as those of pathology."""
