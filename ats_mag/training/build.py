"""A new model and its optimiser, from a configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ats_mag.config.schema import DEFAULT_ENCODER, ModelConfig, RunConfig
from ats_mag.geometry.multiples import ceil_div, round_up
from ats_mag.runs.comparability import tissue_of
from ats_mag.sampling.methods import SPACED

if TYPE_CHECKING:
    import keras

    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.recipe import Recipe


def recipe_of(config: RunConfig) -> Recipe:
    """The recipe that a configuration asks for."""
    from ats_mag.model.recipe import Recipe

    model, settings = config.model, config.train
    asked: dict[str, Any] = {
        "saliency": model.saliency,
        "explore_steps": model.explore_steps,
        "cosine": None if settings.schedule is None else settings.schedule == "cosine",
        "hold": settings.hold_attention,
        "magnification_entropy": settings.magnification_entropy,
        "clip_norm": settings.clip_norm,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if "explore_steps" in given:
        given["explore_share"] = None
    if "clip_norm" in given:
        given["clip_each"] = None
    if settings.place_entropy is not None:
        given["place_entropy"] = tuple(settings.place_entropy)
        given["sharpen_at"] = tuple(settings.sharpen_at[: len(settings.place_entropy) - 1])
    recipe = Recipe.known() if knows_features(model) else Recipe()
    return replace(
        recipe,
        learning_rate=settings.learning_rate,
        encoder_learning_rate=settings.encoder_learning_rate,
        warmup=settings.warmup,
        accumulate=settings.accumulate,
        auxiliary=model.auxiliary,
        **given,
    )


def knows_features(settings: ModelConfig) -> bool:
    """Whether the configuration's encoder was trained before, and not on the slides at hand."""
    from ats_mag.model.encoders.names import RANDOM, SMALL

    name, _, file = (settings.encoder or DEFAULT_ENCODER).partition("@")
    return name != SMALL and file != RANDOM


def build_model(
    config: RunConfig, recipe: Recipe, classes: list[str], overview_mpp: float, steps: int, batch_size: int
) -> SlideClassifier:
    """A new, compiled model.

    Args:
        config: of the run.
        recipe: that it is trained by.
        classes: names of the classes.
        overview_mpp: resolution of the records' overviews, um/px.
        steps: batches that it will be trained on.
        batch_size: slides of each, of all devices together.
    """
    import keras

    policy = keras.mixed_precision.dtype_policy()
    if config.train.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = _classifier(config, recipe, classes, overview_mpp, steps, batch_size)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    model.compile(recipe.optimizer(steps))
    model.optimizer.build(model.trainable_variables)
    return model


def _classifier(
    config: RunConfig, recipe: Recipe, classes: list[str], overview_mpp: float, steps: int, batch_size: int
) -> SlideClassifier:
    from ats_mag.model.built_in_networks import attention_network
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.replicas import replicas
    from ats_mag.model.training_step import DEFAULT_PARTS

    settings = config.model
    feature = feature_network_of(settings)
    return SlideClassifier(
        classes,
        settings.magnifications,
        settings.patch_size,
        settings.n_patches,
        overview_mpp,
        attention=attention_network(len(settings.magnifications), settings.stride, saliency=recipe.saliency),
        feature=feature,
        head=settings.head,
        tissue=tissue_of(config),
        # An adapter's features have equal norm already, and a larger one, of which a head learns sooner.
        normalize_features=getattr(feature, "adapter", None) is None,
        method=settings.method,
        explore_steps=recipe.explore(steps),
        hold_steps=recipe.hold_steps(steps),
        auxiliary=recipe.auxiliary,
        regularizers=recipe.regularizers(),
        test_method=settings.test_method or SPACED,
        test_n_patches=settings.test_n_patches,
        on_error="fill" if config.train.on_bad_slide == "skip" else "raise",
        seed=config.train.seed,
        overlap=min(
            DEFAULT_PARTS, ceil_div(batch_size, replicas())
        ),  # a part without a slide would read one for nothing
    )


def feature_network_of(settings: ModelConfig) -> keras.Model:
    """The feature network that the configuration of a model asks for.

    Raises:
        ValueError: the encoder is unknown, its files are missing or damaged, or it cannot have this patch size or pool.
    """
    from ats_mag.model.built_in_networks import feature_network
    from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
    from ats_mag.model.encoders.adapter import adapter
    from ats_mag.model.encoders.build import encoder
    from ats_mag.model.encoders.names import APPLICATION, LITE0, SMALL

    asked = settings.encoder or DEFAULT_ENCODER
    name, _, file = asked.partition("@")
    if name == SMALL:
        small = feature_network(settings.patch_size)
        if file:
            _load_small(small, file)
        return small
    size = settings.encoder_size or round_up(settings.patch_size, 32 if name == LITE0 else 1)
    try:
        network = encoder(asked, size, settings.trainable, settings.pool, settings.encoder_dtype)
    except ValueError as error:
        raise type(error)(
            f"model.encoder: {error}" + ("; or set model.encoder_size" if "patch_size must" in str(error) else "")
        ) from error
    if name.startswith(APPLICATION) and settings.trainable and not settings.adapter and size == settings.patch_size:
        return network  # as earlier releases built it
    behind = adapter(network.output_shape[-1], settings.adapter) if settings.adapter else None
    return AdaptedEncoder(network, behind, settings.patch_size, settings.trainable)


def _load_small(network: keras.Model, file: str) -> None:
    if not os.path.isfile(file):
        raise ValueError(
            f"model.encoder: the file of weights {file!r} is not there: give one of `save_weights` (NAME.weights.h5)"
        )
    try:
        network.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"model.encoder: {file!r} does not hold weights of the small network: {error}") from error
