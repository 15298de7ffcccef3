"""GlaS, from the unpacked pictures to a table."""
