"""What counts as tissue: the numbers of the tissue mask."""

# Otsu always finds two classes, in blank glass too, where it parts the noise of the sensor and of JPEG. Glass stays
# under 5 % of saturation (13 of 255) and stained tissue above it, so no threshold may lie lower.
LEAST_SATURATION = 13
# Saturation is a quotient: in black pixels (fluorescence, areas never scanned) one grey level of noise makes it 1. No
# stained tissue is this dark, so such pixels count as glass.
BLACK = 16
OPENING_RADIUS = 1  # overview pixels
CLOSING_RADIUS = 2
