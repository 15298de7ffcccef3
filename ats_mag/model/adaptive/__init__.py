"""Reading patches until the predicted class cannot change any more."""
