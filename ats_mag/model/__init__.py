"""The model that looks at slides."""
