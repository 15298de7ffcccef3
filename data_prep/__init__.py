"""Cohorts of published data sets, and of made slides: each is made by `python -m data_prep.NAME`, which explains itself with `--help`."""
