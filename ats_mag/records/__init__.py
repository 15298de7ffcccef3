"""The TFRecord of a slide, and data sets of records."""
