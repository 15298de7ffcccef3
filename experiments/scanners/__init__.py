"""Whether a cohort of several scanners survives its mishaps, and whether predictions depend on the scanner."""
