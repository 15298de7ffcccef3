"""TIFF slides of every kind that the direct path has to read, made tile by tile."""

import struct

import imagecodecs
import numpy as np
import tifffile

TILE = 64
APERIO = "Aperio Image Library v11.2.1\r\n1000x900 [0,0 1000x900] (64x64) JPEG/RGB Q=80|AppMag = 20|MPP = 0.5"


def encode(pixels, subsampling="420", **options):
    """One tile as a JPEG of its own."""
    return imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), 85, subsampling=subsampling, **options)


def split_tables(jpeg):
    """A JPEG as TIFF stores it: (tables alone, image without them)."""
    tables, image, position = b"\xff\xd8", b"\xff\xd8", 2
    while jpeg[position + 1] != 0xDA:  # start of scan: the rest is the image
        end = position + 2 + struct.unpack_from(">H", jpeg, position + 2)[0]
        segment = jpeg[position:end]
        if segment[1] in (0xDB, 0xC4):  # quantisation and Huffman tables
            tables += segment
        elif segment[1] != 0xE0:  # TIFF wants no JFIF header
            image += segment
        position = end
    return tables + b"\xff\xd9", image + jpeg[position:]


def tiles_of(image, tile=TILE):
    """All tiles row by row, padded with their last pixels."""
    for row in range(0, image.shape[0], tile):
        for column in range(0, image.shape[1], tile):
            pixels = image[row : row + tile, column : column + tile]
            short = (tile - pixels.shape[0], tile - pixels.shape[1])
            yield np.pad(pixels, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")


def write_slide(
    path,
    image,
    photometric="ycbcr",
    subsampling="420",
    tables=False,
    downsamples=(1, 2, 4),
    tile=TILE,
    change=None,
    description=None,
    **writer,
):
    """Writes a slide of JPEG tiles.

    `tables` moves the tables into JPEGTables; `change(level, index, jpeg)` may replace the bytes of a tile; `writer`
    goes to `tifffile.TiffWriter`.
    """
    colours = {"outcolorspace": "rgb"} if photometric == "rgb" else {}
    with tifffile.TiffWriter(path, **writer) as tiff:
        for level, downsample in enumerate(downsamples):
            pixels = image[::downsample, ::downsample]
            jpegs = [encode(part, subsampling, **colours) for part in tiles_of(pixels, tile)]
            extra = []
            if tables:
                common = split_tables(jpegs[0])[0]
                jpegs = [split_tables(jpeg)[1] for jpeg in jpegs]
                extra = [(347, 7, len(common), common, True)]
            if change is not None:
                jpegs = [change(level, index, jpeg) for index, jpeg in enumerate(jpegs)]
            tiff.write(
                iter(jpegs),
                shape=pixels.shape,
                dtype=np.uint8,
                compression="jpeg",
                compressionargs=dict(colours),  # else tifffile would call RGB tiles YCbCr
                tile=(tile, tile),
                photometric=photometric,
                metadata=None,
                subfiletype=min(level, 1) if description is None else 0,
                description=description if level == 0 else None,
                extratags=extra,
            )
    return str(path)
