"""The cohort: its manifest, its division into folds, and the fingerprints of its slides."""
