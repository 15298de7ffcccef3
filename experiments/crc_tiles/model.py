"""The classifier of the crc-tiles slides: what the package does by default, with this cohort's sizes."""

from __future__ import annotations

from dataclasses import replace

import keras

import ats_mag
from ats_mag.geometry.multiples import round_up
from ats_mag.model.built_in_networks import attention_network
from ats_mag.slides.tissue_options import OTSU
from experiments.crc_tiles.settings import CLASSES, Attention, Settings


def classifier(settings: Settings, attention: Attention = "learnt") -> ats_mag.SlideClassifier:
    """The compiled model.

    Args:
        settings: of the run.
        attention: `learnt`; or fixed: `start` as the learnt one starts, or `uniform` over the tissue.
    """
    keras.utils.set_random_seed(settings.seed)
    recipe = ats_mag.Recipe.known()
    if attention != "learnt":
        recipe = replace(recipe, hold=1.0)
    if attention == "uniform":
        recipe = replace(recipe, saliency=0.0)
    encoder = ats_mag.encoder(settings.encoder, round_up(settings.patch_size, 32))
    model = ats_mag.SlideClassifier(
        CLASSES,
        magnifications=settings.magnifications,
        patch_size=settings.patch_size,
        n_patches=settings.n_patches,
        overview_mpp=settings.overview_mpp,
        tissue=OTSU,  # as the records are prepared
        attention=attention_network(len(settings.magnifications), settings.stride, saliency=recipe.saliency),
        feature=ats_mag.AdaptedEncoder(encoder, ats_mag.adapter(encoder.output_shape[-1]), settings.patch_size),
        normalize_features=False,  # an adapter's are of equal norm already
        head="binary",
        method="priority",
        test_method="priority" if attention == "uniform" else "topk",
        hold_steps=recipe.hold_steps(settings.steps),
        snap=settings.snap,
        seed=settings.seed,
    )
    model.compile(recipe.optimizer(settings.steps))
    model.feature_cache = ats_mag.FeatureCache(model, settings.cache_bytes)
    return model
