"""What counts as tissue, glass, ink and fluorescence: the numbers of the tissue mask.

Brightness and saturation are in 0..255, hues in degrees. Every threshold that is found on a slide is held between two of these
numbers, so that nothing on a slide, however strong, moves it far.
"""

# --- both methods
OPENING_RADIUS = 1  # overview pixels
CLOSING_RADIUS = 2

# --- `otsu`
# Otsu always finds two classes, in blank glass too, where it parts the noise of the sensor and of JPEG. Glass stays
# under 5 % of saturation (13 of 255) and stained tissue above it, so no threshold may lie lower.
LEAST_SATURATION = 13
# Saturation is a quotient: in black pixels (fluorescence, areas never scanned) one grey level of noise makes it 1. No
# stained tissue is this dark, so such pixels count as glass.
BLACK = 16

# --- `bounded`
# Glass is bright, flat, and all but grey. Old mounting media are yellow or green, paler than any stain of routine; some lamps are
# blue, as is a pale counterstain, which counts as glass only where there is no grey glass beside it. What is pale and purple or
# pink is tissue. Tissue of a tint's colour has a structure, where glass has none.
GLASS_BRIGHTNESS = 180
GLASS_FLAT = 6  # the standard deviation of the brightness over 5 x 5 pixels
GREY = 13
TINT_HUES, TINT = (20, 200), 40
BLUE_GLASS_HUES, BLUE_GLASS = (200, 260), 24
TINTED_FLAT_PERCENT = 50  # of the pixels of a tint that must be flat
WHITE = 254  # what was never scanned is filled with white, and says nothing about the glass
LEAST_GLASS_PERCENT = 1  # of the overview that one colour must have to be the glass
# Saturation above which a pixel is stained, once the glass is white: twice that of nearly all of the glass, but within these.
STAINED = (10, 15)
UNLIKE_GLASS = 10  # grey levels by which one channel at least is darker than the glass
CHROMA = 8  # difference of the channels that noise does not make in dark pixels
# Dark and grey: pen, the edge of the slide, coal, bubbles. A fold or a crowd of nuclei is as dark, but purple.
DARK = 90
DARK_GREY = 77
# Inks have hues or saturations that tissue has not. Haematoxylin is 240 to 290 degrees, eosin 310 to 345, DAB 15 to 40.
GREENISH = (75, 170)  # no stain of routine, however pale
GREEN_INK = 64
BLUE_INK_HUES, BLUE_INK = (170, 250), 140
RED_INK_HUES, RED_INK, RED_INK_BRIGHTNESS = (346, 15), 173, 120  # and pools of blood, which look the same from afar
YELLOW_INK_HUES, YELLOW_INK, YELLOW_INK_BRIGHTNESS = (42, 75), 150, 150
INK_MARGIN = 2  # overview pixels about ink that its edge colours
# A stain of the colour of an ink (trichrome, Sirius red) covers more than ink does, and leaves little else.
STAIN_PERCENT = 20
STAIN_TO_REST = 10
# Fluorescence: much of the overview is dark, and there is no bright field.
DIM = 64
FLUORESCENCE_PERCENT = 25
BRIGHT_FIELD = 160
BRIGHT_FIELD_PERCENT = 2
LIGHT = (16, 40)  # Otsu's threshold of the brightness is held within these
LIGHT_OVER_GROUND = 12  # and this much above the darkest 5 %
