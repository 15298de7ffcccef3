"""A trained model as SavedModels."""
