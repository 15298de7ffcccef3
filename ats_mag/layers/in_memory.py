"""Attention sampling of images held in memory, as one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras import ops

from ats_mag.layers.expectation import Expectation
from ats_mag.layers.regularize_attention import RegularizeAttention
from ats_mag.layers.sample_patches import SamplePatches
from ats_mag.system.arguments import as_integer
from ats_mag.tensors import Attention, Tensor


def attention_sampling(
    attention: Callable[[Tensor], Attention],
    feature: Callable[[Tensor], Tensor],
    patch_size: Sequence[int] | None = None,
    n_patches: int | None = 10,
    replace: bool = False,
    attention_regularizer: Callable[[Attention], Tensor] | None = None,
    receptive_field: int = 0,
    magnifications: Sequence[float] = (1.0,),
    method: str | None = None,
) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Features of a large image, estimated from a few patches that are drawn where a small image of it says.

    The successor of `ats.core.attention_sampling` (attention-sampling 0.2), with its arguments and results; see
    `docs/migration.md` for what differs. For slides use `SlideClassifier`.

    Source: Katharopoulos & Fleuret, "Processing Megapixel Images with Deep Attention-Sampling Models" (ICML 2019).

    Args:
        attention: Keras model or layer, `x_low` -> probabilities `(B, *cells)` or `(B, *cells, M)` that sum to 1 per
            image, as `JointSoftmax` makes them.
        feature: Keras model or layer, patches `(B*N, *patch_size, C)` -> `(B*N, D...)`.
        patch_size: pixels of a patch along each axis; by default that of `feature`'s input.
        n_patches: N; None with `method="exhaustive"`.
        replace: whether to draw with replacement. Ignored when `method` is given.
        attention_regularizer: its value at the attention is added to the loss once.
        receptive_field: pixels of `x_low` that the attention network's unpadded convolutions take off each axis.
        magnifications: M downsample factors of `x_high`, whole numbers, one per last axis of the attention.
        method: see `ats_mag.sample`. None: `"replacement"` if `replace`, else `"sequential"`.

    Returns:
        A function `[x_low (B, *low, C), x_high (B, *high, C)] -> [features (B, D...), attention, patches]`; patches are
        `(B, N, *patch_size, C)`. It takes tensors and `keras.Input`s alike.

    Raises:
        ValueError: where `patch_size` is neither given nor fixed by `feature`, and whatever `SamplePatches` refuses.
    """
    if method == "priority" and n_patches is not None and as_integer(n_patches) == 1:
        raise ValueError(
            "method='priority' learns where to look from two or more patches: give n_patches of at least 2, or another "
            f"method. Received: n_patches={n_patches}"
        )
    if patch_size is None:
        patch_size = _input_sides(feature)
    sampler = SamplePatches(
        None if method == "exhaustive" else n_patches,
        patch_size,
        method=method or ("replacement" if replace else "sequential"),
        receptive_field=receptive_field,
        magnifications=magnifications,
    )
    regularize = None if attention_regularizer is None else RegularizeAttention(attention_regularizer)
    expectation = Expectation()

    def apply(inputs: Sequence[Tensor]) -> list[Tensor]:
        if len(inputs) != 2:
            raise ValueError(f"expected [x_low, x_high]. Received: {len(inputs)} inputs")
        x_low, x_high = inputs
        attention_map = attention(x_low)
        if regularize is not None:
            attention_map = regularize(attention_map)
        patches, weight, _ = sampler([x_low, x_high, attention_map])
        n = patches.shape[1]
        if n is None:
            raise ValueError(
                f"method='exhaustive' needs a lattice of known size. Received: {tuple(attention_map.shape)}"
            )
        patch_features = feature(ops.reshape(patches, (-1, *patches.shape[2:])))
        patch_features = ops.reshape(patch_features, (-1, n, *patch_features.shape[1:]))
        return [expectation([patch_features, weight]), attention_map, patches]

    return apply


def _input_sides(feature: object) -> tuple[int, ...]:
    shape = getattr(feature, "input_shape", None)
    sides = tuple(shape[1:-1]) if isinstance(shape, tuple) else ()
    if not sides or None in sides:
        raise ValueError(
            "patch_size must be given unless `feature` is a built Keras model with a fixed input size. "
            f"Received: feature={feature!r} with input shape {shape}"
        )
    return sides
