"""Our classes under the names that `.keras` files hold, known to Keras' own loading as soon as the package is imported.

Neither Keras nor the classes are imported before they are needed.
"""

from __future__ import annotations

import importlib
from typing import Any

import wrapt

CLASSES = {
    "ats_mag>AdamOfReplicas": "model.adam_of_replicas",
    "ats_mag>AdamOfTwoRates": "model.adam_of_two_rates",
    "ats_mag>AdaptedEncoder": "model.encoders.adapted_encoder",
    "ats_mag>ApplicationPreprocessing": "model.built_in_networks",
    "ats_mag>Darkness": "model.built_in_networks",
    "ats_mag>Expectation": "layers.expectation",
    "ats_mag>JointSoftmax": "layers.joint_softmax",
    "ats_mag>L2Normalize": "layers.l2_normalize",
    "ats_mag>MagnificationEntropy": "sampling.regularizers",
    "ats_mag>MultinomialEntropy": "sampling.regularizers",
    "ats_mag>PlaceEntropy": "sampling.regularizers",
    "ats_mag>PretrainedEncoder": "model.encoders.pretrained",
    "ats_mag>ReadSlidePatches": "layers.read_slide_patches",
    "ats_mag>RegularizeAttention": "layers.regularize_attention",
    "ats_mag>SamplePatches": "layers.sample_patches",
    "ats_mag>Saliency": "model.saliency",
    "ats_mag>SlideClassifier": "model.classifier",
    "ats_mag>SlideContrast": "model.saliency",
    "ats_mag>StoredNormalization": "model.encoders.convolutions",
    "ats_mag>TokenEmbedding": "model.encoders.vision_transformer",
    "ats_mag>TokenPool": "model.encoders.token_pool",
    "ats_mag>TransformerBlock": "model.encoders.vision_transformer",
    "ats_mag>VisionTransformer": "model.encoders.vision_transformer",
    "experiments>StandardizePatch": "model.stain_free_network",
}


class NamedClass:
    """Stands for a class that is imported when Keras asks for anything of it.

    Args:
        name: of `CLASSES`. The import registers the class itself under it, in place of this.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        module = importlib.import_module(f"ats_mag.{CLASSES[self.name]}")
        return getattr(getattr(module, self.name.partition(">")[2]), attribute)


def register(keras: Any) -> None:
    """Tells Keras of the classes that were not imported yet."""
    known = keras.saving.get_custom_objects()
    for name in CLASSES:
        known.setdefault(name, NamedClass(name))


wrapt.register_post_import_hook(register, "keras")
