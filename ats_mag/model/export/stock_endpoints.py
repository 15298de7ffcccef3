"""The endpoints that need no op, for a stock server: their caller reads overview and patches."""

from __future__ import annotations

import keras
import tensorflow as tf

from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.export.endpoint import Endpoint, attend, numbers
from ats_mag.model.network import SlideNetwork
from ats_mag.slides.tissue import tissue_mask


def stock_endpoints(model: SlideNetwork, include_encoder: bool = True) -> list[Endpoint]:
    """`tissue`, `locate` and `classify`, see `savedmodel.export_model`; without the encoder, `classify` takes what it says."""
    lattice = model.lattice

    def tissue(overview: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tissue_mask(overview, model.tissue)}

    def locate(overview: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        attention = attend(model, overview, mask)
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
        return {"probabilities": numbers(model.classify(model.features_of(patches), weight))}

    def classify_encoded(encoded: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": numbers(model.classify(model.features_of_encoded(encoded), weight))}

    side = model.patch_size
    taken = tf.TensorSpec((None, None, side, side, 3), tf.uint8, name="patches")
    if not include_encoder:
        taken = tf.TensorSpec((None, None, model.feature.encoded_dimension), tf.float32, name="encoded")
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
            classify if include_encoder else classify_encoded,
            [
                taken,
                tf.TensorSpec((None, None), tf.float32, name="weight"),
            ],
        ),
    ]


def without_encoder(model: SlideNetwork) -> keras.layers.Layer:
    """What holds the model's variables but those of its frozen encoder.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(model.feature, AdaptedEncoder) or not model.feature.frozen:
        raise ValueError(
            "an export can leave out an encoder only where there is one that was frozen (model.trainable: false); this model "
            f"has {type(model.feature).__name__}: export it as a whole"
        )
    rest = keras.layers.Layer(name="without_encoder")
    rest.parts = [model.attention, model.joint_softmax, model.head, model.seed_generator]
    if model.feature.adapter is not None:
        rest.parts.append(model.feature.adapter)
    rest.built = True
    return rest
