"""The network that looks at slides: everything that prediction, inspection and export need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

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
from ats_mag.model.arguments import check_magnifications, check_priority, dimension_of, stride_of
from ats_mag.model.attention_state import entropy_of, spread_of
from ats_mag.model.built_in_networks import attention_network, feature_network
from ats_mag.model.by_path import PathModel, Slides, is_paths
from ats_mag.model.encode_cells import EncodedCells, encode_cells
from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.exhaustive import exhaustive_expectation
from ats_mag.model.forward_pass import WHOLE, ForwardPass, ReadingTurns, StepPart
from ats_mag.model.heads import get_head
from ats_mag.model.keras_loops import Traced
from ats_mag.model.overview_resolution import of_resolution
from ats_mag.records.augmentation import original_cells, recolour, turn_patches
from ats_mag.sampling.draws import Samples, sample
from ats_mag.sampling.methods import SPACED, STOCHASTIC_METHODS, TEST_METHODS
from ats_mag.sampling.seeds import ReplicaSeedGenerator
from ats_mag.sampling.spaced import most_probable_apart
from ats_mag.slides.tissue_options import TissueOptions
from ats_mag.system.arguments import as_integer, choice, number, positive, whole
from ats_mag.tensors import (
    Attention,
    Downsample,
    Expected,
    Features,
    Geometry,
    Index,
    Location,
    Noise,
    Patches,
    PathCodes,
    Probabilities,
    ReadablePatches,
    Tensor,
    TissueMask,
    ValidCells,
    Weight,
)

Inputs = Mapping[str, Tensor]
FEW = 8  # patches that are encoded at a time where most are known: chunks are of one size, and padded
OnUnreadable = Callable[[PathCodes, Index, Geometry, ReadablePatches], ReadablePatches]


class SlideNetwork(PathModel):
    """Attends to a slide, draws patches, reads them, and classifies what they show. `SlideClassifier` has it learn.

    Args:
        auxiliary_heads: whether each magnification has a head of its own, for losses of its own.
        regularizers: of the attention while it is learnt.

    All other arguments are those of `SlideClassifier`. The order in which layers are made must stay: checkpoints hold weights by
    it, and their random start depends on it.

    Attributes:
        head_kind: what depends on the kind of label.
        lattice: the cells of a slide, and the places of their patches.
        dimension: D.
        regularizers: layers through which the attention passes while it is learnt.
        on_unreadable: told of what is read, see `read`; not saved with the model.
        on_progress: called twice in every training step on TensorFlow, when its data are there and when only the exchange between
            devices is left; not saved with the model.
        feature_cache: of what a frozen encoder said of patches, on TensorFlow; not saved with the model.
    """

    test_method = Traced[str]()
    test_n_patches = Traced[int]()
    on_unreadable = Traced[OnUnreadable | None]()
    on_progress = Traced[Callable[[], None] | None]()
    feature_cache = Traced[EncodedCells | None]()

    def __init__(
        self,
        classes: int | Sequence[str],
        magnifications: Sequence[float | str],
        patch_size: int,
        n_patches: int,
        overview_mpp: float | str,
        *,
        attention: keras.Model | None,
        feature: keras.Model | None,
        head: str,
        auxiliary_heads: bool,
        min_tissue: float,
        tissue: TissueOptions,
        method: str,
        stratify: bool,
        smooth: float,
        test_method: str,
        test_n_patches: int | None,
        seed: int | None,
        regularizers: Sequence[Callable[[Attention], Tensor]],
        normalize_features: bool,
        snap: bool,
        on_error: str,
        chunk: int,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("autocast", False)  # the inputs are integers; each layer casts for itself
        super().__init__(**kwargs)
        self.classes = class_names(classes)
        self.magnifications = tuple(parse_mpp(m) for m in magnifications)
        self.head_kind = get_head(head)
        self.method = choice("method", method, STOCHASTIC_METHODS)
        self.test_method = choice("test_method", test_method, TEST_METHODS)
        self.n_patches = positive("n_patches", n_patches)
        self.test_n_patches = positive("test_n_patches", n_patches if test_n_patches is None else test_n_patches)
        self.patch_size = positive("patch_size", patch_size)
        self.chunk = positive("chunk", chunk)
        self.stratify, self.normalize_features = bool(stratify), bool(normalize_features)
        self.min_tissue, self.smooth = number("min_tissue", min_tissue), number("smooth", smooth)
        self.tissue = tissue
        self.seed = None if seed is None else whole("seed", seed, 0)
        self.head_kind.check_classes(self.classes)
        check_magnifications(self.magnifications)
        if stratify and min(self.n_patches, self.test_n_patches) < len(self.magnifications):
            raise ValueError(
                f"stratify=True needs n_patches and test_n_patches of at least the {len(self.magnifications)} magnifications. "
                f"Received: n_patches={n_patches}, test_n_patches={test_n_patches}"
            )
        check_priority(self.method, self.n_patches, len(self.magnifications) if stratify else 1)

        n_magnifications = len(self.magnifications)
        self.attention = attention_network(n_magnifications) if attention is None else attention
        self.feature = feature_network(self.patch_size) if feature is None else feature
        stride = stride_of(self.attention, n_magnifications)
        self.lattice = Lattice(parse_mpp(overview_mpp), stride, self.magnifications, self.patch_size, bool(snap))
        self.dimension = dimension_of(self.feature, self.patch_size)
        self.joint_softmax = JointSoftmax(smooth)
        self.regularizers = [RegularizeAttention(regularizer) for regularizer in regularizers]
        self.reader = ReadSlidePatches(self.patch_size, on_error)
        self.normalization = L2Normalize() if normalize_features else None
        self.expectation = Expectation()
        self.head = self._new_head("head")
        self.activation = layers.Activation(self.head_kind.activation, dtype="float32")
        names = [f"auxiliary_head_{m}" for m in range(n_magnifications)] if auxiliary_heads else []
        self.auxiliary_heads = [self._new_head(name) for name in names]
        self.seed_generator = ReplicaSeedGenerator(self.seed)
        self.on_unreadable = self.on_progress = self.feature_cache = None
        for dense in (self.head, *self.auxiliary_heads):
            dense.build((None, self.dimension))
        self.built = True

    def build(self, input_shape: object = None) -> None:
        """Everything was built with the model."""

    @property
    def overview_multiple(self) -> int:
        """As of any model of slides, with room for all patches that are drawn at test."""
        return self.lattice.overview_multiple(self.test_n_patches)

    @property
    def on_error(self) -> str:
        """What becomes of unreadable patches."""
        return self.reader.on_error

    @on_error.setter
    def on_error(self, on_error: str) -> None:
        self.reader.on_error = choice("on_error", on_error, ("raise", "fill"))
        self.trace_again()

    def attend(self, inputs: Inputs | Slides, training: bool = False) -> Attention:
        """The attention: `(B, H, W, M)` float32, 0 off tissue. Slides may also be given by path, see `inputs_of`."""
        if is_paths(inputs):
            inputs = self.inputs_of(cast("Slides", inputs))
        inputs = cast("Inputs", inputs)
        overview = inputs["overview"]
        if "overview_mpp" in inputs:
            overview = of_resolution(overview, inputs["overview_mpp"], self.lattice.overview_mpp)
        if "colour" in inputs:
            overview = recolour(overview, inputs["colour"])
        if overview.shape[0] == 0:  # Keras' own layers do not all take empty batches
            shape = self.lattice.shape_of_overview(overview.shape[1:3])
            return ops.zeros((0, *shape, len(self.magnifications)), dtype="float32")
        logits = self.attention(ops.cast(overview, "float32"), training=training)
        return self.joint_softmax(logits, self.cells(inputs["mask"]))

    def cells(self, mask: TissueMask) -> ValidCells:
        """Which cells may be looked at, `(B, H, W)` bool, from the tissue mask `(B, h, w)`."""
        return valid_cells(mask, self.lattice.stride, self.min_tissue)

    def draw(
        self,
        attention: Attention,
        noise: Noise | None = None,
        training: bool = False,
        method: str | None = None,
        n: int = 0,
        geometry: Geometry | None = None,
    ) -> Samples:
        """Draws patches as `call` does, see `sample`; `spaced` ones inside the slides, where their geometry is given."""
        method = method or (self.method if training else self.test_method)
        n = n or (self.n_patches if training else self.test_n_patches)
        if method == SPACED:
            sides = [self.lattice.field_of_view_um(m) / self.lattice.cell_um for m in range(len(self.magnifications))]
            inside = None if geometry is None else self.lattice.inside(geometry, ops.shape(attention)[1:3])
            return most_probable_apart(attention, n, sides, inside)
        noise = noise if method in STOCHASTIC_METHODS else None  # a batch may carry noise for training only
        return sample(attention, n, method, seed=self.seed_generator, noise=noise, stratify=self.stratify)

    def place(self, inputs: Inputs, index: Index) -> tuple[Location, Downsample]:
        """Where patches of cells `(B, N, 3)` are read: location `(B, N, 2)` and downsample `(B, N)`, see `Lattice.place`."""
        return self.reader.place_cells(self.lattice, inputs["path"], self._cells_of(inputs, index), inputs["geometry"])

    def read(self, inputs: Inputs, index: Index, turns: ReadingTurns | None = None) -> tuple[Patches, ReadablePatches]:
        """Patches `(B, N, P, P, 3)` uint8 of cells `(B, N, 3)`, and which could be read `(B, N)`.

        Where `on_unreadable` is set, `on_unreadable(path, index, geometry, valid)` is told and returns `valid`.
        """
        cells = self._cells_of(inputs, index)
        return self._read_cells(
            inputs["path"], cells, inputs["geometry"], inputs.get("turn"), inputs.get("colour"), turns
        )

    def _read_cells(
        self,
        path: PathCodes,
        index: Index,
        geometry: Geometry,
        turn: Tensor | None = None,
        colour: Tensor | None = None,
        turns: ReadingTurns | None = None,
    ) -> tuple[Patches, ReadablePatches]:
        """Patches of cells of the slides as they lie, then turned and recoloured."""

        def read() -> tuple[Patches, ReadablePatches]:
            return self.reader.read_cells(self.lattice, path, index, geometry)

        patches, valid = read() if turns is None else turns.take(read)
        if self.on_unreadable is not None:
            valid = self.on_unreadable(path, index, geometry, valid)
        if turn is not None:
            patches = turn_patches(patches, turn)
        if colour is not None:
            patches = recolour(patches, colour)
        return patches, valid

    def features_at(
        self, inputs: Inputs, index: Index, training: bool = False, turns: ReadingTurns | None = None
    ) -> tuple[Features, ReadablePatches]:
        """Features `(B, N, D)` float32 of the patches of cells `(B, N, 3)`, and which could be read `(B, N)`.

        With a `feature_cache`, what it knows is neither read nor encoded.
        """
        cache = self.feature_cache
        if cache is None or "colour" in inputs:
            patches, valid = self.read(inputs, index, *(() if turns is None else (turns,)))
            return self.features_of(patches, training), valid

        feature = cast("AdaptedEncoder", self.feature)

        def encode(path: PathCodes, cells: Index, geometry: Geometry, turn: Tensor) -> tuple[Tensor, ReadablePatches]:
            patches, valid = self._read_cells(path, cells, geometry, turn if "turn" in inputs else None, turns=turns)
            return feature.encode(ops.squeeze(patches, axis=1), chunk=FEW), valid

        path, geometry, cells = inputs["path"], ops.convert_to_tensor(inputs["geometry"]), self._cells_of(inputs, index)
        turn = inputs.get("turn", ops.zeros((ops.shape(cells)[0], 3), dtype="int32"))
        encoded, valid = encode_cells(cache, path, cells, geometry, turn, encode)
        return self.features_of_encoded(encoded, training), valid

    def features_of_encoded(self, encoded: Tensor, training: bool = False) -> Features:
        """Features `(B, N, D)` float32 of what the encoder of an `AdaptedEncoder` said, `(B, N, E)`."""
        feature = cast("AdaptedEncoder", self.feature)
        batch, n = ops.shape(encoded)[:2]
        if encoded.shape[0] == 0:
            return ops.zeros((0, n, self.dimension), dtype="float32")
        features = feature.adapt(ops.reshape(encoded, (-1, feature.encoded_dimension)), training)
        return self._normalized(features, batch, n)

    def features_of(self, patches: Patches, training: bool = False) -> Features:
        """`(B, N, P, P, 3)` -> `(B, N, D)` float32."""
        batch, n = ops.shape(patches)[:2]
        if patches.shape[0] == 0:
            return ops.zeros((0, n, self.dimension), dtype="float32")
        flat = ops.reshape(patches, (-1, self.patch_size, self.patch_size, 3))
        features = self.feature(ops.cast(flat, "float32"), training=training)
        return self._normalized(features, batch, n)

    def _normalized(self, features: Tensor, batch: Tensor, n: Tensor) -> Features:
        """Features `(B * N, D)` as `(B, N, D)` float32, of unit norm where the model has it so."""
        features = ops.cast(ops.reshape(features, (batch, n, self.dimension)), "float32")
        return features if self.normalization is None else self.normalization(features)

    def classify(self, features: Features, weight: Weight) -> Probabilities:
        """Probabilities from features `(B, N, D)` and weights `(B, N)`."""
        return self.activation(self.head(self.expectation([features, weight])))

    def classify_samples(self, inputs: Inputs, samples: Samples) -> Probabilities:
        """Reads the drawn patches and returns probabilities `(B, C)`."""
        features, valid = self.features_at(inputs, samples.index)
        return self.classify(features, ops.where(valid, samples.weight, 0.0))

    def classify_exhaustively(self, inputs: Inputs, attention: Attention) -> Probabilities:
        """Reads every cell with a > 0, `chunk` patches at a time, and returns probabilities `(B, C)`."""
        return self._read_every_cell(inputs, attention)[0]

    def call(
        self, inputs: Inputs, noise: Noise | None = None, training: bool = False, part: StepPart | None = None
    ) -> Probabilities | ForwardPass:
        """Probabilities; the whole `ForwardPass` where a step says of which `part` of its batch it is."""
        found = self.forward_pass(inputs, inputs.get("noise") if noise is None else noise, training, part or WHOLE)
        return found.probabilities if part is None else found

    def forward_pass(self, inputs: Inputs, noise: Noise | None, training: bool, part: StepPart) -> ForwardPass:
        """A pass as at test, whatever `training`; who learns overrides it."""
        attention = self.attend(inputs)
        if self.test_method == "exhaustive":
            probabilities, read, unread = self._read_every_cell(inputs, attention)
            return self.observed(attention, probabilities, read, unread, read > 0)
        samples = self.draw(attention, noise, geometry=inputs["geometry"])
        features, valid = self.features_at(inputs, samples.index, turns=part.turns)
        weight = ops.where(valid, samples.weight, 0.0)
        return self.observed_samples(attention, self.classify(features, weight), weight, valid)

    def observed_samples(
        self, attention: Attention, probabilities: Probabilities, weight: Weight, valid: ReadablePatches
    ) -> ForwardPass:
        """The pass whose patches had these weights, 0 of those that could not be read."""
        read, unread = (ops.sum(ops.cast(x, "float32"), axis=1) for x in (weight > 0, ops.logical_not(valid)))
        return self.observed(attention, probabilities, read, unread, ops.any(valid, axis=1))

    def observed(
        self, attention: Attention, probabilities: Probabilities, read: Tensor, unread: Tensor, readable: Tensor
    ) -> ForwardPass:
        """The pass with that attention, those numbers of patches `(B,)`, and whether any was read `(B,)`."""
        attention = ops.stop_gradient(attention)
        entropy = entropy_of(attention)
        spread = spread_of(attention, entropy)
        found = ForwardPass(probabilities, entropy, spread, ops.sum(attention, axis=(1, 2)), read)
        if self.on_error == "fill":
            found = found._replace(readable=ops.cast(readable, "float32"), unreadable=unread)
        return found

    def _read_every_cell(self, inputs: Inputs, attention: Attention) -> tuple[Probabilities, Tensor, Tensor]:
        """Probabilities `(B, C)`, and how many patches of each slide were read and how many could not be, `(B,)`."""

        def over_cells(index: Index, weight: Weight) -> tuple[Expected, ReadablePatches]:
            features, valid = self.features_at(inputs, index)
            return self.expectation([features, ops.where(valid, weight, 0.0)]), valid

        phi, count = exhaustive_expectation(attention, over_cells, self.chunk, self.dimension)
        return self.activation(self.head(phi)), count[:, 0], count[:, 1]

    def _new_head(self, name: str) -> layers.Dense:
        return layers.Dense(self.head_kind.units(len(self.classes)), dtype="float32", name=name)

    def _cells_of(self, inputs: Inputs, index: Index) -> Index:
        """Cells of the slides as they lie, of cells of their overviews."""
        return original_cells(index, inputs["turn"], self.lattice.stride) if "turn" in inputs else index


def class_names(classes: int | Sequence[str]) -> list[str]:
    """The names, or numbers as names where only their count is given."""
    count = as_integer(classes)
    if count is not None:
        return [str(number) for number in range(count)]
    return [str(name) for name in cast("Sequence[str]", classes)]
