"""The whole-slide classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from ats_mag.geometry.cells import valid_cells
from ats_mag.geometry.lattice import Lattice
from ats_mag.geometry.units import parse_mpp
from ats_mag.layers.expectation import Expectation
from ats_mag.layers.joint_softmax import JointSoftmax
from ats_mag.layers.l2_normalize import L2Normalize
from ats_mag.layers.read_slide_patches import ReadSlidePatches
from ats_mag.layers.regularize_attention import RegularizeAttention
from ats_mag.model.arguments import check_classes, check_magnifications, choice, dimension_of, positive, stride_of
from ats_mag.model.auxiliary import predict_per_magnification
from ats_mag.model.exhaustive import exhaustive_expectation
from ats_mag.model.heads import HEADS
from ats_mag.model.inspection import Inspection, inspect
from ats_mag.model.keras_loops import SlideModel, Traced
from ats_mag.model.networks import attention_network, feature_network
from ats_mag.model.trace import Trace
from ats_mag.records.augmentation import original_cells, recolour, turn_patches
from ats_mag.sampling.draws import Samples, sample
from ats_mag.sampling.regularizers import PACKAGE, MagnificationEntropy, PlaceEntropy
from ats_mag.sampling.seeds import ReplicaSeedGenerator
from ats_mag.sampling.weights import METHODS, STOCHASTIC_METHODS

INPUT_FIELDS = ("overview", "mask", "path", "geometry")


@keras.saving.register_keras_serializable(PACKAGE)
class SlideClassifier(SlideModel):
    """Predicts a slide's label from a few patches, and learns where and at which magnification to take them.

    Args:
        classes: the class names, or how many there are.
        magnifications: resolutions of the patches, um/px (0.5) or as "20x".
        patch_size: P, patch side in pixels.
        n_patches: N, patches per slide while training.
        overview_mpp: resolution of the overview, um/px.
        attention: a Keras model `(B, h, w, 3)` in 0..255 -> logits `(B, H, W, M)`. None: `attention_network`.
        feature: a Keras model `(B, P, P, 3)` in 0..255 -> `(B, D)`. None: `feature_network`.
        head: `single_label` (integer labels), `multi_label` (0/1 vectors) or `binary` (0/1).
        method: how to draw while training: `sequential`, `priority` or `replacement`.
        stratify: draw N / M patches at each magnification, see `sample`.
        explore_steps: training steps in which patches are drawn uniformly from the tissue and only the features learn.
            Attention that is free before any cue is known settles where features vary least, away from the cues.
        auxiliary: weight of one loss per magnification, from the expectation within that magnification and a head of its
            own, while training with `stratify`. It keeps a magnification learning whose cue is harder than another's;
            without it the attention collapses onto the magnification whose cue is learnt first.
        test_method: how to draw otherwise: `topk`, `exhaustive`, or one of the above.
        test_n_patches: N otherwise. None: `n_patches`.
        smooth: see `JointSoftmax`.
        regularizers: of the attention, while training. None: `PlaceEntropy` and `MagnificationEntropy` at strengths that keep the
            attention from collapsing onto one magnification. `ScheduleStrength` lets it sharpen later.
        normalize_features: whether features are scaled to unit L2 norm, for which sampling from the attention has the
            least variance (Katharopoulos & Fleuret 2019, section 3.2).
        min_tissue: share of a cell that must be tissue for the cell to be looked at.
        snap: whether patches move onto the tile grid of the slide's file, by less than half a cell, so that fewer tiles have
            to be decoded.
        on_error: `raise`, or `fill`: unreadable patches get weight 0 and are counted in the metric `unreadable`.
        chunk: patches per slide that `exhaustive` holds at a time.
        seed: of the draws.
        attention_weights, feature_weights: files of weights that the networks start from.
        overlap: parts that a training step splits its batch into, so that the reading of one hides behind the computing
            of others; results do not change. None: 4. On TensorFlow only (JAX runs its callbacks in the program's order)
            and not where the batch must stay whole: batch normalisation that trains, regularisers that are no mean over
            slides (`MagnificationEntropy(per="batch")`, foreign ones), losses that are no mean.

    Call arguments:
        inputs: a dict of `overview` `(B, h, w, 3)` uint8, `mask` `(B, h, w)` tissue as
            bool or 0/1, `path` `(B, L)` int32 (see
            `slides.paths.encode_paths`), `geometry` `(B, 5)` integers (see `bounds.GEOMETRY_FIELDS`), and optionally
            `noise`, see the next argument, and `turn` `(B, 3)` and `colour` `(B, 5)` of augmented slides: how the overview
            was turned already, and how overview and patches are to be coloured (see `augmentation`).
        noise: uniform numbers that replace the draw, see `sample`.

    Returns:
        `(B, C)` float32 probabilities; `(B, 1)` for `binary`.

    Raises:
        ValueError: for arguments that do not fit together. While running, TensorFlow's errors of `read_patches`; on JAX
            the ordinary exceptions of `slides.native.read_patches`.
    """

    test_method, test_n_patches = Traced(), Traced()
    on_unreadable = Traced()  # see `read`; not saved with the model

    def __init__(
        self,
        classes: int | Sequence[str],
        magnifications: Sequence[float | str] = ("20x", "5x"),
        patch_size: int = 224,
        n_patches: int = 16,
        overview_mpp: float | str = 8.0,
        attention: keras.Model | None = None,
        feature: keras.Model | None = None,
        head: str = "single_label",
        method: str = "sequential",
        stratify: bool = True,
        explore_steps: int = 200,
        auxiliary: float = 0.5,
        test_method: str = "topk",
        test_n_patches: int | None = None,
        smooth: float = 0.0,
        regularizers: Sequence[Any] | None = None,
        normalize_features: bool = True,
        min_tissue: float = 0.05,
        snap: bool = True,
        on_error: str = "raise",
        chunk: int = 64,
        seed: int | None = None,
        attention_weights: str | None = None,
        feature_weights: str | None = None,
        overlap: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("autocast", False)  # the inputs are integers; each layer casts for itself
        super().__init__(**kwargs)
        self.classes = [str(i) for i in range(classes)] if isinstance(classes, int) else [str(c) for c in classes]
        self.magnifications = tuple(parse_mpp(m) for m in magnifications)
        self.head_kind = choice("head", head, HEADS)
        self.method = choice("method", method, STOCHASTIC_METHODS)
        self.test_method = choice("test_method", test_method, METHODS)
        self.n_patches = positive("n_patches", n_patches)
        self.test_n_patches = positive("test_n_patches", n_patches if test_n_patches is None else test_n_patches)
        self.patch_size = positive("patch_size", patch_size)
        self.chunk = positive("chunk", chunk)
        self.overlap = None if overlap is None else positive("overlap", overlap)
        self.stratify = stratify
        self.min_tissue = min_tissue
        self.explore_steps = explore_steps
        self.auxiliary = auxiliary
        self.smooth = smooth
        self.normalize_features = normalize_features
        self.seed = seed
        check_classes(self.classes, head)
        check_magnifications(self.magnifications)
        if stratify and min(self.n_patches, self.test_n_patches) < len(self.magnifications):
            raise ValueError(
                f"stratify=True needs n_patches and test_n_patches of at least the {len(self.magnifications)} magnifications. "
                f"Received: n_patches={n_patches}, test_n_patches={test_n_patches}"
            )

        n_magnifications = len(self.magnifications)
        self.attention = attention_network(n_magnifications) if attention is None else attention
        self.feature = feature_network(self.patch_size) if feature is None else feature
        if attention_weights is not None:
            self.attention.load_weights(attention_weights)
        if feature_weights is not None:
            self.feature.load_weights(feature_weights)
        stride = stride_of(self.attention, n_magnifications)
        self.lattice = Lattice(parse_mpp(overview_mpp), stride, self.magnifications, self.patch_size, snap)
        self.dimension = dimension_of(self.feature, self.patch_size)

        self.joint_softmax = JointSoftmax(smooth)
        if regularizers is None:
            regularizers = [PlaceEntropy(0.03), MagnificationEntropy(0.3)]
        self.regularizers = [RegularizeAttention(r) for r in regularizers]
        self.reader = ReadSlidePatches(self.patch_size, on_error)
        self.normalization = L2Normalize() if normalize_features else None
        self.expectation = Expectation()
        self.head = layers.Dense(HEADS[head].units(len(self.classes)), dtype="float32", name="head")
        self.activation = layers.Activation(HEADS[head].activation, dtype="float32")
        self.auxiliary_heads = []
        if stratify and auxiliary and n_magnifications > 1:
            self.auxiliary_heads = [
                layers.Dense(HEADS[head].units(len(self.classes)), dtype="float32", name=f"auxiliary_head_{m}")
                for m in range(n_magnifications)
            ]
        self.seed_generator = ReplicaSeedGenerator(seed)
        self.entropy_metric = keras.metrics.Mean(name="attention_entropy")
        self.mass_metrics = [keras.metrics.Mean(name=f"mass_{mpp:g}") for mpp in self.magnifications]
        self.unreadable_metric = keras.metrics.Sum(name="unreadable") if on_error == "fill" else None
        self.step = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, aggregation="only_first_replica", name="step"
        )
        self._trace = Trace()
        self.on_unreadable = None
        for dense in (self.head, *self.auxiliary_heads):
            dense.build((None, self.dimension))
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Everything was built with the model."""

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`; the loss defaults to that of the head, `weighted_metrics` to its metrics."""
        head = HEADS[self.head_kind]
        if metrics is None and kwargs.get("weighted_metrics") is None:
            kwargs["weighted_metrics"] = head.metrics()
        super().compile(optimizer, head.loss if loss is None else loss, metrics=metrics, **kwargs)

    def attend(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """The attention: `(B, H, W, M)` float32, 0 off tissue."""
        overview = inputs["overview"]
        if "colour" in inputs:
            overview = recolour(overview, inputs["colour"])
        logits = self.attention(ops.cast(overview, "float32"), training=training)
        return self.joint_softmax(logits, self.cells(inputs["mask"]))

    def cells(self, mask: Any) -> Any:
        """Which cells may be looked at, `(B, H, W)` bool, from the tissue mask `(B, h, w)`."""
        return valid_cells(mask, self.lattice.stride, self.min_tissue)

    def draw(
        self, attention: Any, noise: Any | None = None, training: bool = False, method: str | None = None, n: int = 0
    ) -> Samples:
        """Draws patches as `call` does, see `sample`."""
        method = method or (self.method if training else self.test_method)
        n = n or (self.n_patches if training else self.test_n_patches)
        noise = noise if method in STOCHASTIC_METHODS else None  # a batch may carry noise for training only
        return sample(attention, n, method, seed=self.seed_generator, noise=noise, stratify=self.stratify)

    def place(self, inputs: Mapping[str, Any], index: Any) -> tuple[Any, Any]:
        """Where patches of cells `(B, N, 3)` are read: location `(B, N, 2)` and downsample `(B, N)`, see `Lattice.place`."""
        return self.reader.place_cells(self.lattice, inputs["path"], self._cells_of(inputs, index), inputs["geometry"])

    def read(self, inputs: Mapping[str, Any], index: Any) -> tuple[Any, Any]:
        """Patches `(B, N, P, P, 3)` uint8 of cells `(B, N, 3)`, and which could be read `(B, N)`.

        Where `on_unreadable` is set, `on_unreadable(path, index, geometry, valid)` is told and returns `valid`.
        """
        path, geometry, index = inputs["path"], inputs["geometry"], self._cells_of(inputs, index)
        patches, valid = self._trace.in_turn(lambda: self.reader.read_cells(self.lattice, path, index, geometry))
        if self.on_unreadable is not None:
            valid = self.on_unreadable(path, index, geometry, valid)
        if "turn" in inputs:
            patches = turn_patches(patches, inputs["turn"])
        if "colour" in inputs:
            patches = recolour(patches, inputs["colour"])
        return patches, valid

    def _cells_of(self, inputs: Mapping[str, Any], index: Any) -> Any:
        """Cells of the slides as they lie, of cells of their overviews."""
        return original_cells(index, inputs["turn"], self.lattice.stride) if "turn" in inputs else index

    def features_of(self, patches: Any, training: bool = False) -> Any:
        """`(B, N, P, P, 3)` -> `(B, N, D)` float32."""
        batch, n = ops.shape(patches)[:2]
        flat = ops.reshape(patches, (-1, self.patch_size, self.patch_size, 3))
        features = self.feature(ops.cast(flat, "float32"), training=training)
        features = ops.cast(ops.reshape(features, (batch, n, self.dimension)), "float32")
        return features if self.normalization is None else self.normalization(features)

    def classify(self, features: Any, weight: Any) -> Any:
        """Probabilities from features `(B, N, D)` and weights `(B, N)`."""
        return self.activation(self.head(self.expectation([features, weight])))

    def call(self, inputs: Mapping[str, Any], noise: Any | None = None, training: bool = False) -> Any:
        self._trace.clear()  # of a pass that no loss has followed
        if noise is None:
            noise = inputs.get("noise")
        attention = self.attend(inputs, training)
        if training and self.on_error == "raise":  # a validation loss must not follow their strengths
            attention = self._regularized(attention)
        learnt = attention
        self._note(attention)
        if training and self.explore_steps:
            attention = self._explore(attention, inputs["mask"])
        if not training and self.test_method == "exhaustive":
            return self.classify_exhaustively(inputs, attention)
        samples = self.draw(attention, noise, training)
        features, weight = self._read_features(inputs, samples, training)
        if training and self.on_error == "fill":
            self._regularized(learnt, self._trace.readable)
        if training and self.auxiliary_heads:
            self._trace.auxiliary = predict_per_magnification(self, features, weight, samples, attention)
        return self.classify(features, weight)

    def _regularized(self, attention: Any, weight: Any = None) -> Any:
        """The attention, whose regularisers are added to the loss; with weights `(B,)` of the slides in them."""
        for regularizer in self.regularizers:
            attention = regularizer(attention, weight)
        return attention

    def classify_samples(self, inputs: Mapping[str, Any], samples: Samples) -> Any:
        """Reads the drawn patches and returns probabilities `(B, C)`."""
        return self.classify(*self._read_features(inputs, samples, training=False))

    def _read_features(self, inputs: Mapping[str, Any], samples: Samples, training: bool) -> tuple[Any, Any]:
        """Features `(B, N, D)` of the drawn patches and their weights, 0 where a patch could not be read."""
        patches, valid = self.read(inputs, samples.index)
        self._note_reads(ops.any(valid, axis=1), ops.sum(ops.cast(ops.logical_not(valid), "float32"), axis=1))
        return self.features_of(patches, training), ops.where(valid, samples.weight, 0.0)

    def _note_reads(self, readable: Any, unreadable: Any) -> None:
        """Keeps whether anything was read of each slide, and how many of its patches could not be."""
        if self.on_error == "fill" and self._trace.observed:
            self._trace.observed = {**self._trace.observed, "unreadable": unreadable}
            self._trace.readable = ops.cast(readable, "float32")

    def _explore(self, attention: Any, mask: Any) -> Any:
        """The uniform attention over the valid cells during the first `explore_steps` training steps."""
        exploring = ops.cast(self.step < self.explore_steps, "float32")
        if self._trace.last_part:
            self.step.assign_add(1)
        uniform = self.joint_softmax(ops.zeros_like(attention), self.cells(mask))
        return exploring * uniform + (1 - exploring) * attention

    def classify_exhaustively(self, inputs: Mapping[str, Any], attention: Any) -> Any:
        """Reads every cell with a > 0, `chunk` patches at a time, and returns probabilities `(B, C)`."""
        phi, count = exhaustive_expectation(self, inputs, attention)
        self._note_reads(count[:, 0] > 0, count[:, 1])
        return self.activation(self.head(phi))

    def inspect(self, inputs: Mapping[str, Any], **options: Any) -> Inspection:
        """What the model looks at and why it decides so, see `inspection.inspect`."""
        return inspect(self, inputs, **options)

    def export(self, path: Any, **_: Any) -> Any:
        """Writes the two SavedModels, see `export.export_model`, and returns their folders."""
        from ats_mag.model.export.savedmodel import export_model  # the export builds on the model

        return export_model(self, path)

    def _note(self, attention: Any) -> None:
        """Keeps what the metrics of the attention are made from."""
        attention = ops.stop_gradient(attention)
        entropy = -ops.sum(attention * ops.log(attention + 1e-9), axis=(1, 2, 3))
        self._trace.observed = {"entropy": entropy, "mass": ops.sum(attention, axis=(1, 2))}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "classes": self.classes,
            "magnifications": list(self.magnifications),
            "patch_size": self.patch_size,
            "n_patches": self.n_patches,
            "overview_mpp": self.lattice.overview_mpp,
            "attention": keras.saving.serialize_keras_object(self.attention),
            "feature": keras.saving.serialize_keras_object(self.feature),
            "head": self.head_kind,
            "method": self.method,
            "stratify": self.stratify,
            "explore_steps": self.explore_steps,
            "auxiliary": self.auxiliary,
            "test_method": self.test_method,
            "test_n_patches": self.test_n_patches,
            "smooth": self.smooth,
            "regularizers": [keras.regularizers.serialize(layer.regularizer) for layer in self.regularizers],
            "normalize_features": self.normalize_features,
            "min_tissue": self.min_tissue,
            "snap": self.lattice.snap,
            "on_error": self.on_error,
            "chunk": self.chunk,
            "overlap": self.overlap,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SlideClassifier:
        config = dict(config)
        for network in ("attention", "feature"):
            config[network] = keras.saving.deserialize_keras_object(config[network])
        config["regularizers"] = [keras.regularizers.get(r) for r in config["regularizers"]]
        return cls(**config)
