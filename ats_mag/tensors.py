"""Names for the tensors that go through the package, each with its shape.

Keras gives the tensors of its backends no common type, so that each name stands for any of them; it tells a reader what the shape
and the numbers mean. B slides, overviews of h x w pixels, a lattice of H x W cells, M magnifications, N patches of P x P pixels, D
features, C classes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # of the backend that Keras runs on, or a NumPy array; of any shape

Overview: TypeAlias = Tensor  # (B, h, w, 3) uint8: slides at low resolution
TissueMask: TypeAlias = Tensor  # (B, h, w) bool or 0/1: tissue on the overview
PathCodes: TypeAlias = Tensor  # (B, L) int32, see `slides.paths`; or (B,) strings where TensorFlow's ops read
Geometry: TypeAlias = Tensor  # (B, 5) int64, see `geometry.slide_geometry.GEOMETRY_FIELDS`

Logits: TypeAlias = Tensor  # (B, H, W, M): of the attention, before the softmax
Attention: TypeAlias = Tensor  # (B, H, W, M) float32: probabilities that sum to 1 per slide
ValidCells: TypeAlias = Tensor  # (B, H, W) bool: cells that may be looked at
Noise: TypeAlias = Tensor  # uniform numbers that replace a draw, see `sampling.draws.sample`

Index: TypeAlias = Tensor  # (B, N, 3) int32: row, column and magnification of each patch
Weight: TypeAlias = Tensor  # (B, N) float32: of each patch in the expectation
Location: TypeAlias = Tensor  # (B, N, 2) int64: (x, y) of a patch's top-left corner, level-0 pixels
Downsample: TypeAlias = Tensor  # (B, N) float64: level-0 pixels per patch pixel
Patches: TypeAlias = Tensor  # (B, N, P, P, 3) uint8
ReadablePatches: TypeAlias = Tensor  # (B, N) bool: patches that could be read

Features: TypeAlias = Tensor  # (B, N, D) float32
Expected: TypeAlias = Tensor  # (B, D) float32: the expectation of the features
Probabilities: TypeAlias = Tensor  # (B, C) float32; (B, 1) of a binary head
Labels: TypeAlias = Tensor  # (B,) integers, or (B, C) 0/1 of several labels per slide
SlideWeight: TypeAlias = Tensor  # (B,): of each slide in the loss

KerasConfig: TypeAlias = dict[str, Any]  # what `get_config` returns
Logs: TypeAlias = dict[str, Any] | None  # what Keras tells its callbacks
