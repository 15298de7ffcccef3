"""A new model and its optimiser, from a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ats_mag.config.schema import RunConfig, TrainConfig

if TYPE_CHECKING:
    import keras

    from ats_mag.model.classifier import SlideClassifier


def build_model(
    config: RunConfig, classes: list[str], overview_mpp: float, steps: int, batch_size: int
) -> SlideClassifier:
    """A new, compiled model.

    Args:
        config: of the run.
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
        model = _classifier(config, classes, overview_mpp, steps, batch_size)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    model.compile(_optimizer(config.train, steps))
    model.optimizer.build(model.trainable_variables)
    return model


def _classifier(
    config: RunConfig, classes: list[str], overview_mpp: float, steps: int, batch_size: int
) -> SlideClassifier:
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.model.networks import application_network, attention_network, feature_network
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
        explore_steps=min(200, steps // 4) if settings.explore_steps is None else settings.explore_steps,
        test_method=settings.test_method,
        on_error="fill" if config.train.on_bad_slide == "skip" else "raise",
        seed=config.train.seed,
        overlap=min(DEFAULT_PARTS, -(-batch_size // replicas())),  # a part without a slide would read one for nothing
    )


def _optimizer(settings: TrainConfig, steps: int) -> keras.Optimizer:
    import keras

    from ats_mag.model.replicas import shared_norm

    return keras.optimizers.Adam(
        learning_rate(settings, steps),
        global_clipnorm=shared_norm(settings.clip_norm),
        gradient_accumulation_steps=settings.accumulate if settings.accumulate > 1 else None,
    )


def learning_rate(settings: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate over so many batches (Keras counts those, also while it accumulates): a number or a schedule."""
    import keras

    constant = settings.schedule == "constant"
    warmup = round(settings.warmup * steps)
    if constant and not warmup:
        return settings.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / (warmup + 1) if warmup else settings.learning_rate,
        max(1, steps - warmup),
        alpha=1.0 if constant else 0.0,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
