"""The whole-slide classifier: what trains the network that looks at slides."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import keras
from keras import ops

from ats_mag.backend import on_tensorflow
from ats_mag.model.arguments import check_magnifications
from ats_mag.model.attention_words import MASS, SPREAD
from ats_mag.model.auxiliary import auxiliary_loss, predict_per_magnification
from ats_mag.model.built_in_networks import attention_network
from ats_mag.model.by_path import Slides, is_paths
from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.forward_pass import WHOLE, ForwardPass, StepPart
from ats_mag.model.inspection import Inspection, inspect
from ats_mag.model.keras_loops import Traced
from ats_mag.model.network import Inputs, SlideNetwork
from ats_mag.model.recipe import Recipe, batches_of
from ats_mag.model.training_step import mean_loss, parts_of, test_step, training_step
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.sampling.schedules import ScheduleStrength
from ats_mag.slides.tissue_options import DEFAULT_TISSUE, OTSU, TissueOptions
from ats_mag.system.arguments import number, positive, whole
from ats_mag.tensors import Attention, KerasConfig, Labels, Noise, SlideWeight, Tensor, TissueMask


@keras.saving.register_keras_serializable(PACKAGE)
class SlideClassifier(SlideNetwork):
    """Predicts a slide's label from a few patches, and learns where and at which magnification to take them.

    All arguments after `overview_mpp` are given by name.

    Args:
        classes: the class names, or how many there are.
        magnifications: resolutions of the patches, um/px (0.5) or as "20x".
        patch_size: P, patch side in pixels.
        n_patches: N, patches per slide while training.
        overview_mpp: resolution of the overview, um/px.

        attention: what looks at the overview: a Keras model `(B, h, w, 3)` in 0..255 -> logits `(B, H, W, M)`. None:
            `attention_network`, which with an `AdaptedEncoder` starts on what is salient.
        feature: what looks at a patch: a Keras model `(B, P, P, 3)` in 0..255 -> `(B, D)`. None: `feature_network`.
        head: `single_label` (integer labels), `multi_label` (0/1 vectors) or `binary` (0/1).
        normalize_features: whether features are scaled to unit L2 norm, for which sampling from the attention has the
            least variance (Katharopoulos & Fleuret 2019, section 3.2).
        min_tissue: share of a cell that must be tissue for the cell to be looked at.
        tissue: how tissue is found on slides that are predicted by path, as `prepare` found it on those of the records.

        method: how to draw while training: `sequential`, `priority` or `replacement`.
        stratify: draw N / M patches at each magnification, see `sample`.
        smooth: see `JointSoftmax`.
        test_method: how to draw otherwise: `topk`, `exhaustive`, or one of the above.
        test_n_patches: N otherwise. None: `n_patches`.
        seed: of the draws.

        explore_steps: training steps in which patches are drawn uniformly from the tissue and only the features learn.
            Attention that is free before any cue is known settles where features vary least, away from the cues. None: 200; 0
            with an `AdaptedEncoder`, whose features are known.
        hold_steps: training steps in which the attention stays as it started, and only the rest learns. None: none; with an
            `AdaptedEncoder` those of the default `Recipe`, which `fit` sets.
        auxiliary: weight of one loss per magnification, from the expectation within that magnification and a head of its
            own, while training with `stratify`. It keeps a magnification learning whose cue is harder than another's;
            without it the attention collapses onto the magnification whose cue is learnt first.
        regularizers: of the attention, while training. None: those of the default `Recipe`, at strengths that keep the
            attention from collapsing onto one magnification; `fit` then lets it sharpen at the end. With an `AdaptedEncoder`
            there are none.

        snap: whether patches move onto the tile grid of the slide's file, by less than half a cell, so that fewer tiles have
            to be decoded.
        on_error: `raise`, or `fill`: unreadable patches get weight 0 and are counted in the metric `unreadable`.

        chunk: patches per slide that `exhaustive` holds at a time.
        overlap: parts that a training step splits its batch into, so that the reading of one hides behind the computing
            of others; results do not change. None: 4. On TensorFlow only (JAX runs its callbacks in the program's order)
            and not where the batch must stay whole: batch normalisation that trains, regularisers that are no mean over
            slides (`MagnificationEntropy(per="batch")`, foreign ones), losses that are no mean.

    Call arguments:
        inputs: a dict of `overview` `(B, h, w, 3)` uint8, `mask` `(B, h, w)` tissue as
            bool or 0/1, `path` `(B, L)` int32 (see
            `slides.paths.encode_paths`), `geometry` `(B, 5)` integers (see `slide_geometry.GEOMETRY_FIELDS`), and optionally
            `noise`, see the next argument, and `turn` `(B, 3)` and `colour` `(B, 5)` of augmented slides: how the overview
            was turned already, and how overview and patches are to be coloured (see `augmentation`).
        noise: uniform numbers that replace the draw, see `sample`.
        part: given by Keras' steps, which want the whole `ForwardPass` in return.

    Returns:
        `(B, C)` float32 probabilities; `(B, 1)` for `binary`.

    Raises:
        ValueError: for arguments that do not fit together. While running, TensorFlow's errors of `read_patches`; on JAX
            the ordinary exceptions of `slides.numpy_reader.read_patches`.
    """

    hold_steps = Traced[int]()

    def __init__(
        self,
        classes: int | Sequence[str],
        magnifications: Sequence[float | str] = ("20x", "5x"),
        patch_size: int = 224,
        n_patches: int = 16,
        overview_mpp: float | str = 8.0,
        *,
        # what it looks at, and for
        attention: keras.Model | None = None,
        feature: keras.Model | None = None,
        head: str = "single_label",
        normalize_features: bool = True,
        min_tissue: float = 0.05,
        tissue: TissueOptions | Mapping[str, Any] = DEFAULT_TISSUE,
        # how it draws
        method: str = "sequential",
        stratify: bool = True,
        smooth: float = 0.0,
        test_method: str = "topk",
        test_n_patches: int | None = None,
        seed: int | None = None,
        # what it learns with
        explore_steps: int | None = None,
        hold_steps: int | None = None,
        auxiliary: float = 0.5,
        regularizers: Sequence[Callable[[Attention], Tensor]] | None = None,
        # how it reads
        snap: bool = True,
        on_error: str = "raise",
        # how it runs
        chunk: int = 64,
        overlap: int | None = None,
        **kwargs: Any,
    ) -> None:
        recipe = Recipe.known() if isinstance(feature, AdaptedEncoder) else Recipe()
        if attention is None and recipe.saliency:
            check_magnifications(tuple(magnifications))
            attention = attention_network(len(magnifications), saliency=recipe.saliency)
        super().__init__(
            classes,
            magnifications,
            patch_size,
            n_patches,
            overview_mpp,
            attention=attention,
            feature=feature,
            head=head,
            auxiliary_heads=bool(stratify and auxiliary and len(magnifications) > 1),
            normalize_features=normalize_features,
            min_tissue=min_tissue,
            tissue=tissue if isinstance(tissue, TissueOptions) else TissueOptions(**tissue),
            method=method,
            stratify=stratify,
            smooth=smooth,
            test_method=test_method,
            test_n_patches=test_n_patches,
            seed=seed,
            regularizers=recipe.regularizers() if regularizers is None else regularizers,
            snap=snap,
            on_error=on_error,
            chunk=chunk,
            **kwargs,
        )
        self.recipe = recipe if regularizers is None else None
        self.explore_steps = whole("explore_steps", recipe.explore_steps if explore_steps is None else explore_steps, 0)
        self.hold_steps = whole("hold_steps", 0 if hold_steps is None else hold_steps, 0)
        self._hold_by_recipe = hold_steps is None
        self.auxiliary = number("auxiliary", auxiliary)
        self.overlap = None if overlap is None else positive("overlap", overlap)
        self.entropy_metric = keras.metrics.Mean(name="attention_entropy")
        self.spread_metric = keras.metrics.Mean(name=SPREAD)
        self.mass_metrics = [keras.metrics.Mean(name=f"{MASS}{mpp:g}") for mpp in self.magnifications]
        self.unreadable_metric = keras.metrics.Sum(name="unreadable") if on_error == "fill" else None
        self.step = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, aggregation="only_first_replica", name="step"
        )

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`; the loss defaults to that of the head, `weighted_metrics` to its metrics."""
        if metrics is None and kwargs.get("weighted_metrics") is None:
            kwargs["weighted_metrics"] = self.head_kind.metrics()
        super().compile(optimizer, self.head_kind.loss if loss is None else loss, metrics=metrics, **kwargs)

    def forward_pass(self, inputs: Inputs, noise: Noise | None, training: bool, part: StepPart) -> ForwardPass:
        """A pass; while training it holds the attention and explores at first, and adds to the loss what regularises it."""
        if not training:
            return super().forward_pass(inputs, noise, training, part)
        learnt = self.attend(inputs, training)
        if self.hold_steps:
            learnt = ops.where(self.step < self.hold_steps, ops.stop_gradient(learnt), learnt)
        if self.on_error == "raise":
            learnt = self._regularized(learnt)
        attention = self._explore(learnt, inputs["mask"]) if self.explore_steps else learnt
        if part.last and (self.explore_steps or self.hold_steps):
            self.step.assign_add(1)
        samples = self.draw(attention, noise, training)
        features, valid = self.features_at(inputs, samples.index, training, part.turns)
        weight = ops.where(valid, samples.weight, 0.0)
        found = self.observed_samples(learnt, self.classify(features, weight), weight, valid)
        if self.on_error == "fill":
            self._regularized(learnt, found.readable)
        return found._replace(auxiliary=predict_per_magnification(self, features, weight, samples, attention))

    def _regularized(self, attention: Attention, weight: SlideWeight | None = None) -> Attention:
        """The attention, whose regularisers are added to the loss; with weights `(B,)` of the slides in them."""
        for regularizer in self.regularizers:
            attention = regularizer(attention, weight)
        return attention

    def _explore(self, attention: Attention, mask: TissueMask) -> Attention:
        """The uniform attention over the valid cells during the first `explore_steps` training steps."""
        exploring = ops.cast(self.step < self.explore_steps, "float32")
        uniform = self.joint_softmax(ops.zeros_like(attention), self.cells(mask))
        return exploring * uniform + (1 - exploring) * attention

    def compute_loss(
        self,
        x: Inputs | None = None,
        y: Labels | None = None,
        y_pred: ForwardPass | Tensor | None = None,
        sample_weight: SlideWeight | None = None,
        training: bool = True,
    ) -> Tensor:
        """As `keras.Model.compute_loss`; of a `ForwardPass` also with the losses per magnification.

        A slide of which nothing was read says nothing about its label, and has no share in the loss.
        """
        if not isinstance(y_pred, ForwardPass):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        if y_pred.readable is not None:
            share = ops.mean(y_pred.readable) if mean_loss(self) else 1.0  # Keras divides by all slides
            sample_weight = _times(y_pred.readable / ops.where(share > 0, share, 1.0), sample_weight)
        loss = super().compute_loss(x, y, y_pred.probabilities, sample_weight, training)
        if y_pred.auxiliary:
            labels = self.head_kind.labels(y)
            loss = loss + self.auxiliary * auxiliary_loss(self.loss, labels, y_pred.auxiliary, sample_weight)
        return loss

    def compute_metrics(
        self, x: Inputs, y: Labels, y_pred: ForwardPass | Tensor, sample_weight: SlideWeight | None = None
    ) -> dict[str, Tensor]:
        """As `keras.Model.compute_metrics`; of a `ForwardPass` also of its attention.

        Slides of which nothing was read do not count. Binary labels may be `(B,)`.
        """
        probabilities = y_pred
        if isinstance(y_pred, ForwardPass):
            probabilities = y_pred.probabilities
            if y_pred.readable is not None:
                sample_weight = _times(y_pred.readable, sample_weight)
            self._update_attention_metrics(y_pred)
        return super().compute_metrics(x, self.head_kind.labels(y), probabilities, sample_weight)

    def _update_attention_metrics(self, found: ForwardPass) -> None:
        self.entropy_metric.update_state(found.entropy, found.counted)
        self.spread_metric.update_state(found.spread, found.counted)
        for m, metric in enumerate(self.mass_metrics):
            metric.update_state(found.mass[:, m], found.counted)
        if self.unreadable_metric is not None and found.unreadable is not None:
            self.unreadable_metric.update_state(found.unreadable)

    @property
    def step_parts(self) -> int:
        """Into how many parts a training step splits its batch, see `overlap`."""
        return parts_of(self, self.overlap)

    def train_step(self, *state_and_data: Any) -> Any:
        if on_tensorflow():
            return training_step(self, state_and_data[-1], self.step_parts)
        return super().train_step(*state_and_data)

    def test_step(self, *state_and_data: Any) -> Any:
        if on_tensorflow():
            return test_step(self, state_and_data[-1])
        return super().test_step(*state_and_data)

    def step_options(self) -> dict[str, Any]:
        return {"part": WHOLE}

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`, by the default `Recipe`; warns where training ended before any attention was learnt.

        The recipe lets the attention sharpen towards the last epoch. Not so where the model was made with `regularizers` of its
        own or loaded, where a callback schedules strengths, or where nobody knows how many batches an epoch has.
        """
        if self.recipe is not None:
            kwargs["callbacks"] = self._with_recipe(self.recipe, x, batch_size, epochs, kwargs)
        history = super().fit(x, y, batch_size, epochs, *args, **kwargs)
        self.warn_unlearnt()
        return history

    def _with_recipe(self, recipe: Recipe, x: Any, batch_size: int | None, epochs: int, options: dict[str, Any]) -> Any:
        """The callbacks of `fit`, and those of the recipe."""
        given = options.get("callbacks")
        callbacks = [given] if isinstance(given, keras.callbacks.Callback) else given
        batches = batches_of(x, batch_size, options.get("steps_per_epoch"), options.get("validation_split", 0.0))
        own = isinstance(given, keras.callbacks.CallbackList) or any(
            isinstance(callback, ScheduleStrength) for callback in callbacks or ()
        )
        if own or batches is None:
            return given
        done = options.get("initial_epoch", 0) * batches
        if self._hold_by_recipe:
            self.hold_steps = recipe.hold_steps(epochs * batches)
        return [*recipe.callbacks(epochs * batches, done), *(callbacks or ())]

    @property
    def explored(self) -> bool:
        """Whether training has gone beyond the steps that draw patches uniformly."""
        return not self.explore_steps or int(ops.convert_to_numpy(self.step)) > self.explore_steps

    def warn_unlearnt(self) -> None:
        """Warns where all training so far drew patches uniformly."""
        if not self.explored:
            steps = int(ops.convert_to_numpy(self.step))
            warnings.warn(
                f"training ended after {steps} steps, all of which drew patches uniformly (explore_steps="
                f"{self.explore_steps}): no attention was learnt. Train longer, or lower explore_steps",
                stacklevel=3,
            )

    def inspect(self, inputs: Inputs | Slides, **options: Any) -> Inspection:
        """What the model looks at and why it decides so, see `inspection.inspect`; also of slides by path."""
        given = self.inputs_of(cast("Slides", inputs)) if is_paths(inputs) else cast("Inputs", inputs)
        return inspect(self, given, **options)

    def export(self, path: str | os.PathLike[str], include_encoder: bool = True, **other: Any) -> tuple[Path, ...]:
        """Writes the two SavedModels, see `export.savedmodel.export_model`, and returns their folders."""
        from ats_mag.model.export.savedmodel import export_model  # needs TensorFlow

        if other not in ({}, {"format": "tf_saved_model"}):
            received = ", ".join(f"{name}={value!r}" for name, value in other.items())
            raise TypeError(
                "SlideClassifier.export writes SavedModels (format='tf_saved_model') of signatures of its own, and takes "
                f"`path` and `include_encoder` only. Received: {received}"
            )

        return export_model(self, path, include_encoder=include_encoder)

    def get_config(self) -> KerasConfig:
        return {
            **super().get_config(),
            "classes": self.classes,
            "magnifications": list(self.magnifications),
            "patch_size": self.patch_size,
            "n_patches": self.n_patches,
            "overview_mpp": self.lattice.overview_mpp,
            "attention": keras.saving.serialize_keras_object(self.attention),
            "feature": keras.saving.serialize_keras_object(self.feature),
            "head": self.head_kind.name,
            "normalize_features": self.normalize_features,
            "min_tissue": self.min_tissue,
            "tissue": self.tissue.to_dict(),
            "method": self.method,
            "stratify": self.stratify,
            "smooth": self.smooth,
            "test_method": self.test_method,
            "test_n_patches": self.test_n_patches,
            "seed": self.seed,
            "explore_steps": self.explore_steps,
            "hold_steps": self.hold_steps,
            "auxiliary": self.auxiliary,
            "regularizers": [keras.regularizers.serialize(layer.regularizer) for layer in self.regularizers],
            "snap": self.lattice.snap,
            "on_error": self.on_error,
            "chunk": self.chunk,
            "overlap": self.overlap,
        }

    @classmethod
    def from_config(cls, config: KerasConfig) -> SlideClassifier:
        config = {"tissue": OTSU.to_dict(), **config}  # an earlier release had no other
        for network in ("attention", "feature"):
            config[network] = keras.saving.deserialize_keras_object(config[network])
        config["regularizers"] = [keras.regularizers.get(regularizer) for regularizer in config["regularizers"]]
        method = config["method"]
        model = cls(**{**config, "method": "sequential"})
        model.method = method  # files of earlier releases may hold what is refused now, see `check_priority`
        return model


def _times(weight: SlideWeight, sample_weight: SlideWeight | None) -> SlideWeight:
    """Weights of the slides beside those that the user may have given."""
    return weight if sample_weight is None else weight * ops.cast(sample_weight, "float32")
