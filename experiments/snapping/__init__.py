"""Whether snapping patches to the tile grid costs accuracy."""
