"""The Python face of the slide reading op: patches, overviews and geometry as TensorFlow tensors."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ats_mag.slides.shared_library import raw_ops
from ats_mag.tensors import Downsample, Location, PathCodes, Tensor

_FAR_AWAY = 2.0**62  # where a location that is no number goes; the op refuses it


def read_patches(
    path: PathCodes, location: Location, downsample: Downsample, size: Sequence[int], on_error: str = "raise"
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """Reads N patches from each of B slides.

    A level of the file within 2 % of `downsample` is taken as it stands; else the nearest finer level is area-averaged;
    a patch finer than level 0 is interpolated. What lies outside the slide has the slide's background colour, or white.
    Patches begin at whole pixels of the level read. Where that level's downsample is not a whole number, OpenSlide
    itself shifts by up to half a level-0 pixel.

    Args:
        path: `(B,)` strings, or `(B, L)` int32 path codes as made by `encode_paths`.
        location: `(B, N, 2)` int64, the level-0 pixel (x, y) of each patch's top-left corner; may be negative.
        downsample: `(B, N)` float64, or what broadcasts to it: level-0 pixels per pixel of the patch.
        size: (height, width) of a patch in pixels.
        on_error: "raise", or "fill" to paint patches white that cannot be opened or read.

    Returns:
        `(B, N, height, width, 3)` uint8; with `on_error="fill"` a pair of these and `(B, N)` bool, which are valid.

    Raises:
        ValueError: an argument is of the wrong kind or shape.
        tf.errors.NotFoundError: a file does not exist.
        tf.errors.InvalidArgumentError: a file is no slide; a location or downsample is NaN, infinite or absurd.
        tf.errors.DataLossError: a slide is damaged.
        tf.errors.ResourceExhaustedError: no more files can be opened, not even one slide at a time.
    """
    height, width = _patch_size(size)
    if on_error not in ("raise", "fill"):
        raise ValueError(f'`on_error` must be "raise" or "fill". Received: on_error={on_error!r}')
    with tf.device("CPU:0"):
        paths, location, downsample = _places(path, location, downsample)
        carrier = tf.zeros((0, height, width, 3), tf.uint8)  # carries the static size into the op's shape function
        patches, valid = raw_ops().ats_mag_read_patches(paths, location, downsample, carrier, on_error=on_error)
    return (patches, valid) if on_error == "fill" else patches


def snap_patches(
    path: PathCodes, location: Location, downsample: Downsample, size: Sequence[int], reach: Tensor
) -> tf.Tensor:
    """Moves patches a little where then fewer of the slide's tiles have to be decoded.

    A patch that is no larger than a tile ends up within one where `reach` allows; at a random place it touches 3.5.
    Patches that are averaged or interpolated from another resolution stay, as do those of slides whose levels have no
    tiles.

    Args:
        path, location, downsample, size: as of `read_patches`.
        reach: `(B,)`, or one number for all: level-0 pixels; a patch moves by less along each axis.

    Returns:
        `(B, N, 2)` int64, the places.

    Raises:
        ValueError: an argument is of the wrong kind or shape.
        tf.errors.InvalidArgumentError: a location or downsample is NaN, infinite or absurd.
    """
    height, width = _patch_size(size)
    with tf.device("CPU:0"):
        paths, location, downsample = _places(path, location, downsample)
        reach = tf.broadcast_to(tf.cast(_tensor(reach, "reach", tf.float64), tf.float64), tf.shape(paths)[:1])
        sides = tf.constant([height, width], tf.int64)
        return raw_ops().ats_mag_snap_patches(paths, location, downsample, reach, sides)


def read_overview(path: Tensor | str, mpp: Tensor | float, slide_mpp: Tensor | float = float("nan")) -> tf.Tensor:
    """Reads the slide's bounds (all of it, where the file states none) at a low resolution.

    Args:
        path: one path, a string.
        mpp: resolution of the overview, um/px.
        slide_mpp: resolution of level 0 in um/px; NaN means the file's own.

    Returns:
        `(h, w, 3)` uint8. Pixel (i, j) is the mean of the square of `mpp` x `mpp` um at (i, j) from the bounds' origin;
        a level of the file within 2 % of `mpp` is taken as it stands.

    Raises:
        ValueError: an argument is of the wrong shape.
        tf.errors.NotFoundError: the file does not exist.
        tf.errors.InvalidArgumentError: it is no slide, its resolution is unknown or implausible, or the overview would
            have more than 2**28 pixels.
        tf.errors.DataLossError: the slide is damaged.
    """
    with tf.device("CPU:0"):
        return raw_ops().ats_mag_read_overview(_one_path(path), _scalar(mpp, "mpp"), _scalar(slide_mpp, "slide_mpp"))


def slide_geometry(path: PathCodes, slide_mpp: Tensor | float = float("nan")) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the tissue of each slide lies and the resolution of its level 0.

    Args:
        path: `(B,)` strings, or `(B, L)` int32 path codes.
        slide_mpp: `(B,)` float64, or one number for all: um/px of level 0; NaN means the file's own.

    Returns:
        bounds `(B, 4)` int64: x, y, width, height in level-0 pixels; and mpp `(B,)` float64 in um/px.

    Raises:
        ValueError: an argument is of the wrong shape.
        tf.errors.NotFoundError: a file does not exist.
        tf.errors.InvalidArgumentError: a file is no slide, or its resolution is unknown or implausible.
    """
    with tf.device("CPU:0"):
        paths = _paths(path)
        slide_mpp = tf.cast(_tensor(slide_mpp, "slide_mpp", tf.float64), tf.float64)
        if slide_mpp.shape.rank is not None and slide_mpp.shape.rank > 1:
            raise ValueError(f"`slide_mpp` must be (B,) or a number. Received: a tensor of shape {slide_mpp.shape}")
        slide_mpp = tf.broadcast_to(slide_mpp, tf.shape(paths)[:1])
        bounds, mpp = raw_ops().ats_mag_slide_geometry(paths, slide_mpp)
    return bounds, mpp


def _tensor(value: Tensor, name: str, dtype: tf.DType) -> tf.Tensor:
    """`value` as a tensor of its own type, or of `dtype` where it is plain Python."""
    if tf.is_tensor(value):
        return value
    try:
        array = np.asarray(value)
        return tf.convert_to_tensor(array if array.dtype.kind in "iuf" and array.size else array.astype(dtype.name))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"`{name}` must be numbers. Received: {name}={value!r}") from error


def _scalar(value: Tensor, name: str) -> tf.Tensor:
    tensor = tf.cast(_tensor(value, name, tf.float64), tf.float64)
    if tensor.shape.rank not in (None, 0):
        raise ValueError(f"`{name}` must be one number. Received: a tensor of shape {tensor.shape}")
    return tensor


def _places(path: PathCodes, location: Location, downsample: Downsample) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Paths, locations `(B, N, 2)` and downsamples `(B, N)` as the op takes them."""
    location = _locations(location)
    downsample = tf.cast(_tensor(downsample, "downsample", tf.float64), tf.float64)
    if downsample.shape.rank is not None and downsample.shape.rank > 2:
        raise ValueError(
            f"`downsample` must be (B, N) or broadcast to it. Received: a tensor of shape {downsample.shape}"
        )
    return _paths(path), location, tf.broadcast_to(downsample, tf.shape(location)[:2])


def _locations(value: Location) -> tf.Tensor:
    tensor = _tensor(value, "location", tf.int64)
    if tensor.shape.rank not in (None, 3) or (tensor.shape.rank == 3 and tensor.shape[2] not in (None, 2)):
        raise ValueError(f"`location` must be (B, N, 2). Received: a tensor of shape {tensor.shape}")
    if tensor.dtype.is_floating:
        # What becomes of a NaN in a cast depends on the processor.
        tensor = tf.cast(tensor, tf.float64)
        tensor = tf.round(tf.where(tf.math.is_finite(tensor), tensor, _FAR_AWAY))
    return tf.cast(tensor, tf.int64)


def _strings(value: Any) -> Any:
    """Paths as bytes, in the form (one, or nested lists) they came in."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_strings(item) for item in value]
    return os.fsencode(value) if isinstance(value, str | os.PathLike) else value


def _string_tensor(value: Tensor, rank: int) -> tf.Tensor:
    wanted = "one string" if rank == 0 else "(B,) strings or (B, L) int32 codes"
    try:
        tensor = value if tf.is_tensor(value) else tf.constant(_strings(value), tf.string)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`path` must be {wanted}. Received: path={value!r}") from error
    if tensor.dtype != tf.string or tensor.shape.rank not in (None, rank):
        raise ValueError(f"`path` must be {wanted}. Received: {tensor.dtype.name} of shape {tensor.shape}")
    return tensor


def _paths(value: PathCodes) -> tf.Tensor:
    dtype = getattr(value, "dtype", None)
    if dtype is None or not tf.as_dtype(dtype).is_integer:
        return _string_tensor(value, 1)
    tensor = tf.cast(value, tf.int32)
    if tensor.shape.rank not in (None, 2):
        raise ValueError(f"`path` must be (B,) strings or (B, L) int32 codes. Received: shape {tensor.shape}")
    return tensor


def _one_path(value: Tensor) -> tf.Tensor:
    return _string_tensor(value, 0)


def _patch_size(size: Sequence[int]) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`size` must be (height, width) in pixels. Received: size={size!r}") from error
    if height < 1 or width < 1:
        raise ValueError(f"`size` must be at least 1 x 1 pixels. Received: size={size!r}")
    return height, width
