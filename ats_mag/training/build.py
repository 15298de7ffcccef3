"""A new model and its optimiser, from a configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ats_mag.config.schema import RunConfig
from ats_mag.geometry.multiples import ceil_div

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.recipe import Recipe


def recipe_of(config: RunConfig) -> Recipe:
    """The recipe that a configuration asks for."""
    from ats_mag.model.recipe import Recipe

    settings = config.train
    recipe = Recipe(
        learning_rate=settings.learning_rate,
        cosine=settings.schedule == "cosine",
        warmup=settings.warmup,
        clip_norm=settings.clip_norm,
        accumulate=settings.accumulate,
    )
    steps = config.model.explore_steps
    return recipe if steps is None else replace(recipe, explore_steps=steps, explore_share=None)


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
    from ats_mag.model.built_in_networks import application_network, attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.replicas import replicas
    from ats_mag.model.training_step import DEFAULT_PARTS

    settings = config.model
    if settings.feature == "small":
        feature = feature_network(settings.patch_size)
        if settings.feature_weights:
            feature.load_weights(settings.feature_weights)
    else:
        feature = application_network(settings.feature, settings.patch_size, settings.feature_weights)
    return SlideClassifier(
        classes,
        settings.magnifications,
        settings.patch_size,
        settings.n_patches,
        overview_mpp,
        attention=attention_network(len(settings.magnifications), settings.stride),
        feature=feature,
        head=settings.head,
        method=settings.method,
        explore_steps=recipe.explore(steps),
        regularizers=recipe.regularizers(),
        test_method=settings.test_method,
        on_error="fill" if config.train.on_bad_slide == "skip" else "raise",
        seed=config.train.seed,
        overlap=min(
            DEFAULT_PARTS, ceil_div(batch_size, replicas())
        ),  # a part without a slide would read one for nothing
    )
