"""The op inside tf.function, tf.data and device scopes."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from ats_mag.slides.paths import encode_paths
from ats_mag.slides.reader import read_overview, read_patches, slide_geometry
from ats_mag.slides.shared_library import load_op


def test_static_shapes(noise_slide):
    shapes = {}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None,), tf.string),
            tf.TensorSpec((None, 64), tf.int32),
            tf.TensorSpec((None, 5, 2), tf.int64),
        ]
    )
    def traced(path, codes, location):
        shapes["strings"] = read_patches(path, location, 1.0, (8, 9)).shape.as_list()
        shapes["codes"] = [part.shape.as_list() for part in read_patches(codes, location, 1.0, (8, 9), "fill")]
        shapes["overview"] = read_overview(path[0], 8.0).shape.as_list()
        shapes["geometry"] = [part.shape.as_list() for part in slide_geometry(codes)]

    traced.get_concrete_function()
    assert shapes == {
        "strings": [None, 5, 8, 9, 3],
        "codes": [[None, 5, 8, 9, 3], [None, 5]],
        "overview": [None, None, 3],
        "geometry": [[None, 4], [None]],
    }


@pytest.mark.graphs
def test_unknown_ranks(noise_slide, noise):
    @tf.function(input_signature=[tf.TensorSpec(None, tf.string), tf.TensorSpec(None, tf.int64)])
    def traced(path, location):
        patches = read_patches(path, location, tf.ones(tf.shape(location)[:2], tf.float64), (8, 9))
        assert patches.shape.as_list() == [None, None, 8, 9, 3]
        return patches

    patches = traced(tf.constant([noise_slide]), tf.constant([[[3, 2]]], tf.int64))
    np.testing.assert_array_equal(patches[0, 0], noise[2:10, 3:12])
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(tf.constant(noise_slide), tf.constant([[[3, 2]]], tf.int64))


def test_data_pipeline(noise_slide, flat_slide, noise):
    places = np.random.default_rng(0).integers(0, 400, (40, 3, 2))
    paths = [(noise_slide, flat_slide)[i % 2] for i in range(40)]
    data = tf.data.Dataset.from_tensor_slices((paths, encode_paths(paths), places)).batch(4)
    data = data.map(
        lambda path, codes, place: tuple(read_patches(paths, place, 1.0, (16, 16)) for paths in (path, codes)),
        num_parallel_calls=4,
    )
    got = [np.concatenate(part) for part in zip(*data.as_numpy_iterator(), strict=True)]
    want = np.stack([[noise[y : y + 16, x : x + 16] for x, y in place] for place in places])
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], want)


def test_device_scope(noise_slide, noise):
    read = tf.function(lambda: read_patches([noise_slide], [[[0, 0]]], 1.0, (8, 8)))
    with tf.device("GPU:0"):  # soft placement takes the CPU where there is no GPU; the op asks for it in any case
        np.testing.assert_array_equal(read()[0, 0], noise[:8, :8])
        np.testing.assert_array_equal(read_patches([noise_slide], [[[0, 0]]], 1.0, (8, 8))[0, 0], noise[:8, :8])
        assert read_overview(noise_slide, 8.0).shape == (32, 40, 3)


def test_no_gradient_flows(noise_slide):
    variable = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        patches = read_patches([noise_slide], [[[0, 0]]], variable, (8, 8))
        loss = tf.reduce_sum(tf.cast(patches, tf.float32))
    assert tape.gradient(loss, variable) is None


def test_arguments_of_many_types(noise_slide, noise):
    want = noise[2:10, 3:12]
    for location in ([[[3, 2]]], [[[3.0, 2.0]]], np.array([[[3, 2]]], np.int32), tf.constant([[[3.2, 1.9]]])):
        for downsample in (1, 1.0, [1.0], [[1.0]], np.float32(1), tf.constant([[1.0]])):
            patches = read_patches([noise_slide], location, downsample, (np.int64(8), 9))
            np.testing.assert_array_equal(patches[0, 0], want)


def test_the_model_format_keeps_the_op(noise_slide, noise, tmp_path):
    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def __call__(self, path):
            return read_patches(path, tf.zeros((tf.shape(path)[0], 1, 2), tf.int64), 1.0, (8, 8))

    tf.saved_model.save(Reader(), str(tmp_path / "reader"))
    loaded = tf.saved_model.load(str(tmp_path / "reader"))
    np.testing.assert_array_equal(loaded(tf.constant([noise_slide]))[0, 0], noise[:8, :8])


def test_loading_twice_is_harmless(noise_slide, tmp_path):
    assert load_op() == load_op()
    tf.load_op_library(load_op())
    tf.load_op_library(str(shutil.copy(load_op(), tmp_path / "_another_copy.so")))
    assert read_patches([noise_slide], [[[0, 0]]], 1.0, (8, 8)).shape == (1, 1, 8, 8, 3)
