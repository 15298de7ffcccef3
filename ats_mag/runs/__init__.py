"""A run: its folder, its files, and whether it can go on."""
