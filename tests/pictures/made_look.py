"""A model for pictures."""

import keras
import numpy as np


def make_model(classes=("a", "b", "c"), magnifications=(0.5, 1.0, 2.0), n_patches=12, **options):
    """Untrained, with an attention that is not uniform."""
    from ats_mag.models import SlideClassifier
    from ats_mag.networks import attention_network, feature_network

    keras.utils.set_random_seed(3)
    attention = attention_network(len(magnifications), 4, (8, 8))
    logits = attention.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(3).normal(0, 4, logits.kernel.shape))
    return SlideClassifier(
        list(classes),
        magnifications,
        attention=attention,
        feature=feature_network(32, 16, (8, 16)),
        patch_size=32,
        n_patches=n_patches,
        overview_mpp=8.0,
        **options,
    )
