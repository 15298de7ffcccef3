"""BACH (ICIAR 2018), part A, as a cohort."""
