"""Patches of images in memory."""

import keras
import numpy as np
import pytest
from backends import compiled, examples, value_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_contract import check_layer, check_training

from ats_mag.layers.sample_patches import SamplePatches, extract_patches, patch_origins

RNG = np.random.default_rng(0)
X_LOW = RNG.random((2, 8, 10, 3)).astype("float32")
X_HIGH = RNG.random((2, 64, 80, 3)).astype("float32")


def attention_map(*space):
    a = np.random.default_rng(1).random((2, *space)).astype("float32")
    return a / a.sum(axis=tuple(range(1, a.ndim)), keepdims=True)


def by_hand(image, origin, size, factor=1):
    """Patches by slicing a padded copy."""
    margin = 60
    padded = np.pad(image.astype("float64"), [(0, 0)] + [(margin, margin)] * (image.ndim - 2) + [(0, 0)])
    out = np.zeros((*origin.shape[:2], *size, image.shape[-1]))
    for b, n in np.ndindex(*origin.shape[:2]):
        place = [slice(o + margin, o + margin + s * factor) for o, s in zip(origin[b, n], size, strict=True)]
        block = padded[(b, *place)]
        split = [length for s in size for length in (s, factor)]
        out[b, n] = block.reshape(*split, -1).mean(axis=tuple(range(1, 2 * len(size), 2)))
    return out


@pytest.mark.parametrize(
    ("arguments", "space"),
    [
        ({"n_patches": 3}, (4, 5)),
        ({"n_patches": 3, "method": "replacement", "receptive_field": 2}, (3, 4, 1)),
        ({"n_patches": 3, "method": "priority", "magnifications": (1.0, 4.0), "seed": 3}, (4, 5, 2)),
        ({"n_patches": 3, "method": "topk", "magnifications": (2.0,)}, (4, 5)),
        ({"n_patches": None, "method": "exhaustive", "magnifications": (1, 2)}, (2, 2, 2)),
    ],
)
def test_contract(arguments, space, tmp_path):
    layer = SamplePatches(patch_size=(6, 7), **arguments)
    method = arguments.get("method", "sequential")
    inputs, further = [X_LOW, X_HIGH, attention_map(*space)], {}
    if method not in ("topk", "exhaustive"):
        width = 3 if method == "replacement" else int(np.prod(space))
        further = {"noise": np.random.default_rng(2).random((2, width)).astype("float32")}
    check_layer(layer, inputs, tmp_path, further, trained=(1,))
    check_training(layer.from_config(layer.get_config()), inputs, further, trained=(2,), loss_of=1)


def test_draws_differ_from_call_to_call_and_follow_the_seed():
    inputs = [X_LOW, X_HIGH, attention_map(8, 10)]
    layer = SamplePatches(4, (5, 5), seed=1)
    first, second = (np.asarray(layer(inputs)[2]) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(SamplePatches(4, (5, 5), seed=1)(inputs)[2], first)


@pytest.mark.parametrize("space", [(8, 10), (4, 5), (8, 10, 1)])
def test_patches_are_centred_on_their_cells(space):
    patches, weight, index = SamplePatches(4, (6, 5))([X_LOW, X_HIGH, attention_map(*space)])
    cell = np.asarray(index)[..., :2]
    centre = (cell + 0.5) * np.array([64, 80]) / np.array(space[:2])
    origin = np.rint(centre - np.array([6, 5]) / 2).astype(int)
    np.testing.assert_array_equal(patches, by_hand(X_HIGH, origin, (6, 5)).astype("float32"))
    assert index.shape == (2, 4, len(space))
    np.testing.assert_allclose(np.asarray(weight).sum(axis=1), 1, rtol=1e-5)


def test_magnifications_share_centres():
    attention = attention_map(4, 5, 3)
    factors = (1, 2, 4)
    patches, _, index = SamplePatches(30, (6, 6), magnifications=factors)([X_LOW, X_HIGH, attention])
    index = np.asarray(index)
    assert set(index[..., 2].ravel()) == {0, 1, 2}
    for m, factor in enumerate(factors):
        origin = np.rint((index[..., :2] + 0.5) * 16 - 3 * factor).astype(int)
        chosen = index[..., 2] == m
        np.testing.assert_allclose(
            np.asarray(patches)[chosen], by_hand(X_HIGH, origin, (6, 6), factor)[chosen], rtol=1e-5
        )


@settings(max_examples=examples(30), deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["float32", "uint8", "uint16"]),
)
def test_extraction_at_any_place(seed, n_axes, channels, factor, dtype):
    rng = np.random.default_rng(seed)
    image = (rng.random((2, *rng.integers(1, 9, n_axes), channels)) * 255).astype(dtype)
    size = tuple(int(side) for side in rng.integers(1, 5, n_axes))
    origin = rng.integers(-25, 30, (2, 3, n_axes)).astype("int32")
    patches = extract_patches(image, origin, size, factor)
    expected = by_hand(image, origin, size, factor)
    assert keras.backend.standardize_dtype(patches.dtype) == dtype
    if dtype == "float32":
        np.testing.assert_allclose(patches, expected, rtol=1e-5, atol=1e-5)
    else:
        assert np.abs(np.asarray(patches).astype(float) - expected).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_what_lies_at_the_edge_does_not_leak_outside(channels):
    image = np.full((1, 5, 6, channels), np.nan, "float32")
    image[:, :3] = np.inf
    origin = np.array([[[-2, -3], [3, 4], [9, 9]]], "int32")
    np.testing.assert_array_equal(extract_patches(image, origin, (4, 5)), by_hand(image, origin, (4, 5)))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_no_patches(shape):
    patches = extract_patches(X_HIGH[: shape[0]], np.zeros((*shape, 2), "int32"), (4, 5))
    assert patches.shape == (*shape, 4, 5, 3)


@pytest.mark.parametrize("factor", [1, 3])
def test_gradient_reaches_the_image(factor):
    """Each pixel gets the sum of the gradients of the patch pixels that show it; outside gets none."""
    image = np.zeros((1, 9, 9, 1), "float32")
    origin = np.array([[[0, 0], [2, 2], [-2, 7]]], "int32")
    _, [gradient] = value_and_gradients(lambda x: ops.sum(extract_patches(x, origin, (2, 2), factor)), image)
    expected = np.zeros((9, 9))
    for row, column in origin[0]:
        rows = slice(max(row, 0), max(row + 2 * factor, 0))
        expected[rows, max(column, 0) : column + 2 * factor] += 1 / factor**2
    np.testing.assert_allclose(gradient[0, ..., 0], expected, rtol=1e-6)


def test_half_precision_image_stays_half():
    patches, weight, _ = SamplePatches(3, (5, 5), magnifications=(1, 2))(
        [X_LOW, X_HIGH.astype("float16"), attention_map(4, 5, 2).astype("float16")]
    )
    assert keras.backend.standardize_dtype(patches.dtype) == "float16"
    assert keras.backend.standardize_dtype(weight.dtype) == "float32"


def test_places_are_the_same_when_compiled():
    """A compiler may fuse and so round the places' arithmetic differently; see `patch_origins`."""
    cells = np.stack([np.arange(180)] * 2, axis=-1)[None].astype("int32")

    def places(cell):
        return patch_origins(cell, (180, 180), (1500, 1500), (180, 180), (50, 50))

    np.testing.assert_array_equal(compiled(places)(cells), places(cells))


@pytest.mark.needs_tensorflow
def test_reads_only_the_pixels_of_the_patches():
    """No operation of the graph makes a second image, neither padded nor cast nor tiled."""
    import tensorflow as tf

    layer = SamplePatches(3, (5, 5), magnifications=(1, 2))
    low, attention = X_LOW, attention_map(4, 5, 2)
    for shape in ((2, 640, 800, 3), (None, None, None, 3)):
        spec = tf.TensorSpec(shape, tf.uint8)
        graph = tf.function(lambda x: layer([low, x, attention])[0]).get_concrete_function(spec)
        nodes = {node.name: node for node in graph.graph.as_graph_def().node}
        image, readers = "x", []
        views = {image}
        for node in nodes.values():  # in topological order
            if any(source.split(":")[0] in views for source in node.input):
                if node.op in ("Reshape", "Identity"):
                    views.add(node.name)
                else:
                    readers.append(node.op)
        assert set(readers) <= {"GatherV2", "ResourceGather", "Shape"}, readers
        assert "GatherV2" in readers


@pytest.mark.needs_tensorflow
def test_unknown_sizes():
    import tensorflow as tf

    layer = SamplePatches(5, (6, 7), "topk", magnifications=(1, 3))
    specs = [tf.TensorSpec((None, None, None, 3), tf.float32)] * 2 + [tf.TensorSpec((None, None, None, 2), tf.float32)]

    @tf.function(input_signature=specs)
    def with_gradient(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[1])
            patches, weight, index = layer(list(inputs))
        return patches, weight, index, tape.gradient(patches, inputs[1])

    inputs = [X_LOW, X_HIGH, attention_map(4, 5, 2)]
    *outputs, gradient = with_gradient(*map(tf.constant, inputs))
    for output, expected in zip(outputs, layer(inputs), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-6)
    assert gradient.shape == X_HIGH.shape
    assert np.count_nonzero(gradient) > 0


@pytest.mark.needs_tensorflow
def test_batches_of_many_pixels_get_wide_indices():
    """Traced only: more than 2**31 pixels, or a number not known before."""
    import tensorflow as tf

    for shape in ((40, 10_000, 10_000, 1), (None, None, None, 1)):
        graph = tf.function(lambda x, origin: extract_patches(x, origin, (3, 3))).get_concrete_function(
            tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((shape[0], 2, 2), tf.int32)
        )
        gathers = [op for op in graph.graph.get_operations() if op.type == "GatherV2"]
        assert [op.inputs[1].dtype for op in gathers if op.inputs[0].dtype == tf.uint8] == [tf.int64]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "other"}, "Received: method='other'"),
        ({"magnifications": (1, 2.5)}, "whole numbers"),
        ({"magnifications": (0.5,)}, "at least 1"),
        ({"magnifications": ()}, "Received: magnifications"),
        ({"patch_size": (0, 5)}, "patch_size"),
        ({"patch_size": (2.5, 5)}, "patch_size"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SamplePatches(**{"n_patches": 3, "patch_size": (5, 5), **arguments})


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("arguments", "low", "attention", "message"),
    [
        ({}, (8, 10, 3), (4, 5, 2), "1 magnifications"),
        ({"magnifications": (1, 2)}, (8, 10, 3), (4, 5), "2 magnifications"),
        ({"magnifications": (1, 2)}, (8, 10, 3), (4, 5, 3), "2 magnifications"),
        ({}, (8, 3), (4, 5), "rank 4"),
    ],
)
def test_shapes_that_do_not_belong_together(arguments, low, attention, message, symbolic):
    layer = SamplePatches(3, (5, 5), **arguments)
    shapes = [low, X_HIGH.shape[1:], attention]
    inputs = [keras.Input(shape) if symbolic else np.zeros((2, *shape), "float32") for shape in shapes]
    with pytest.raises(ValueError, match=message):
        layer(inputs)
