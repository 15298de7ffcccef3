"""A cohort as several scanners would see it, with the mishaps of a real one."""
