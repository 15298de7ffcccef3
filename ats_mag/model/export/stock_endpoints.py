"""The endpoints that need no op, for a stock server: their caller reads overview and patches."""

from __future__ import annotations

import tensorflow as tf

from ats_mag.model.export.endpoint import Endpoint
from ats_mag.model.network import SlideNetwork
from ats_mag.slides.tissue import tissue_mask


def stock_endpoints(model: SlideNetwork) -> list[Endpoint]:
    """`tissue`, `locate` and `classify`, see `savedmodel.export_model`."""
    lattice = model.lattice

    def tissue(overview: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tissue_mask(overview)}

    def locate(overview: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        attention = model.attend({"overview": overview, "mask": mask})
        samples = model.draw(attention, method="topk" if model.test_method == "exhaustive" else None)
        centre = lattice.centres_um(samples.index)
        mpp = tf.gather(tf.constant(lattice.magnifications, tf.float32), samples.index[..., 2])
        return {
            "attention": attention,
            "index": samples.index,
            "weight": samples.weight,
            "centre_um": centre,
            "mpp": mpp,
        }

    def classify(patches: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.classify(model.features_of(patches), weight)}

    side = model.patch_size
    return [
        Endpoint("tissue", tissue, [tf.TensorSpec((None, None, 3), tf.uint8, name="overview")]),
        Endpoint(
            "locate",
            locate,
            [
                tf.TensorSpec((None, None, None, 3), tf.uint8, name="overview"),
                tf.TensorSpec((None, None, None), tf.bool, name="mask"),
            ],
        ),
        Endpoint(
            "classify",
            classify,
            [
                tf.TensorSpec((None, None, side, side, 3), tf.uint8, name="patches"),
                tf.TensorSpec((None, None), tf.float32, name="weight"),
            ],
        ),
    ]
