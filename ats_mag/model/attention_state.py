"""Over how much of a slide its attention lies."""

from __future__ import annotations

from keras import ops

from ats_mag.tensors import Attention, Tensor


def entropy_of(attention: Attention) -> Tensor:
    """The entropy of each slide's attention, `(B,)`, in nats."""
    return -ops.sum(attention * ops.log(attention + 1e-9), axis=(1, 2, 3))


def spread_of(attention: Attention, entropy: Tensor | None = None) -> Tensor:
    """Over what share of a slide's cells its attention lies, `(B,)`: 1 if it is uniform over the tissue, 1 / cells if on one.

    That is exp(entropy) / cells: so many cells of equal attention would have its entropy.

    Args:
        attention: `(B, H, W, M)`, 0 outside the tissue.
        entropy: of it, where that is known.
    """
    entropy = entropy_of(attention) if entropy is None else entropy
    cells = ops.sum(ops.cast(attention > 0, "float32"), axis=(1, 2, 3))
    return ops.exp(entropy) / ops.maximum(cells, 1.0)
