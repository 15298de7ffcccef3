"""The endpoints that read slides by path; a process needs the op library to load them."""

from __future__ import annotations

import tensorflow as tf

from ats_mag.geometry.slide_geometry import slide_mpp as mpp_of
from ats_mag.model.adaptive.bounds import bounded
from ats_mag.model.export.adaptive_endpoint import adaptive_endpoint
from ats_mag.model.export.endpoint import Endpoint, assert_tissue, numbers, slides_of
from ats_mag.model.network import SlideNetwork
from ats_mag.slides.overview import WHITE, Overview, pad_to_multiple, view_slide


def path_endpoints(model: SlideNetwork) -> list[Endpoint]:
    """`serving_default`, and `adaptive` where the features have a bound, see `savedmodel.export_model`."""
    overview_mpp, multiple = model.lattice.overview_mpp, model.overview_multiple
    image_spec = tf.RaggedTensorSpec((None, None, 3), tf.uint8, ragged_rank=1)
    mask_spec = tf.RaggedTensorSpec((None, None), tf.bool, ragged_rank=1)

    def view(path: tf.Tensor, slide_mpp: tf.Tensor) -> Overview:
        overview = view_slide(path, overview_mpp, slide_mpp, model.tissue)
        image = pad_to_multiple(overview.image, multiple, WHITE)
        return Overview(image, pad_to_multiple(overview.mask, multiple, 0), overview.geometry)

    def ragged_view(slide: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.Tensor]:
        image, mask, geometry = view(*slide)
        return tf.RaggedTensor.from_tensor(image), tf.RaggedTensor.from_tensor(mask), geometry

    def serve(path: tf.Tensor, slide_mpp: tf.Tensor) -> dict[str, tf.Tensor]:
        path, slide_mpp = slides_of(path, slide_mpp)
        return tf.cond(tf.size(path) > 0, lambda: serve_some(path, slide_mpp), serve_none)

    def serve_none() -> dict[str, tf.Tensor]:
        units, n, kinds = model.head.units, model.test_n_patches, len(model.magnifications)
        return {
            "probabilities": tf.zeros((0, units)),
            "attention": tf.zeros((0, 0, 0, kinds)),
            "index": tf.zeros((0, n, 3), tf.int32),
            "location": tf.zeros((0, n, 2), tf.int64),
            "downsample": tf.zeros((0, n), tf.float64),
            "weight": tf.zeros((0, n)),
            "mpp": tf.zeros((0,), tf.float64),
        }

    def serve_some(path: tf.Tensor, slide_mpp: tf.Tensor) -> dict[str, tf.Tensor]:
        signature = (image_spec, mask_spec, tf.TensorSpec((5,), tf.int64))
        images, masks, geometry = tf.map_fn(ragged_view, (path, slide_mpp), fn_output_signature=signature)
        mask = masks.to_tensor(False)
        with tf.control_dependencies([assert_tissue(mask, path)]):
            inputs = {
                "overview": images.to_tensor(WHITE, shape=(None, None, None, 3)),
                "mask": mask,
                "path": path,
                "geometry": geometry,
            }
            attention = model.attend(inputs)
        samples = model.draw(attention, method="topk" if model.test_method == "exhaustive" else None, geometry=geometry)
        location, downsample = model.place(inputs, samples.index)
        if model.test_method == "exhaustive":
            probabilities = model.classify_exhaustively(inputs, attention)
        else:
            probabilities = model.classify_samples(inputs, samples)
        return {
            "probabilities": numbers(probabilities),
            "attention": attention,
            "index": samples.index,
            "location": location,
            "downsample": downsample,
            "weight": samples.weight,
            "mpp": mpp_of(geometry),
        }

    signature = [tf.TensorSpec(None, tf.string, name="path"), tf.TensorSpec(None, tf.float64, name="slide_mpp")]
    endpoints = [Endpoint("serving_default", serve, signature)]
    return [*endpoints, adaptive_endpoint(model, view)] if bounded(model) else endpoints
