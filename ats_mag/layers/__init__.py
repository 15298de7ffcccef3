"""One public Keras layer per file."""
