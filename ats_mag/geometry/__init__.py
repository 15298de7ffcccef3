"""Units, the lattice of cells, and the levels of a slide."""
