"""Joint sampling against every reasonable alternative, on slides of three scales."""
