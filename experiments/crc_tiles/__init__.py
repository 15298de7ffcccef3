"""Cancer on at most 2 % of the tissue, found from slide labels alone, against baselines."""
