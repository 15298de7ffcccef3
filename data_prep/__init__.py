"""Cohorts of published data sets, and of made slides.

`python -m data_prep.NAME`, in the root of the repository, makes one; it explains itself with `--help`.
"""
