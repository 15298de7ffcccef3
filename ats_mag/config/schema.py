"""The keys of a run's configuration, their types and defaults, as models that refuse what they do not know."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ats_mag.config.former_keys import FORMER_KEYS, current_model_keys
from ats_mag.config.spelled_numbers import Text
from ats_mag.geometry.units import parse_mpp, parse_slide_mpp

DEFAULT_COPIES_GB = 50.0
DEFAULT_ENCODER = "efficientnet-lite0"

Mpp = Annotated[float, BeforeValidator(parse_mpp)]
SlideMpp = Annotated[float, BeforeValidator(parse_slide_mpp)]
Share = Annotated[float, Field(ge=0, lt=1)]

# Of keys whose change leaves results comparable: where things lie, how the work is done, what happens to slides that cannot
# be read, and how a trained model is measured. What the manifest's columns and labels mean shows in the manifest itself.
_FREE: Any = Field(json_schema_extra={"free": True})


class Section(BaseModel):
    """Unknown keys are refused, and what was read stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _all_defaults(cls, values: object) -> object:
        """A section of which every key is commented out is read as none."""
        return {} if values is None else values


class DataConfig(Section):
    """Where slides and labels are.

    Attributes:
        slides: folder that the paths of the manifest are relative to.
        manifest: CSV or XLSX, one row per slide.
        columns: our names of columns (`slide_id`, `patient_id`, `path`, `label`, `mpp`, `site`, `split`) to the table's,
            where they are none that are known, or several are: `{label: diagnosis}`.
        labels: the table's labels to classes, several to one if need be: `{G1: low, G2: low, G3: high}`; slides of other labels are left out and counted.
            Classes are in the order in which they appear here. None: labels are the classes, in the order in which people sort
            them: `2` before `10`.
        positive: of two classes, the one that "positive" means, and that a binary model gives the probability of. None: the second
            one.
        default_mpp: um/px of slides of which neither the manifest nor the file states it.
    """

    slides: Annotated[Path, _FREE] = Path("slides")
    manifest: Annotated[Path, _FREE] = Path("manifest.csv")
    columns: Annotated[dict[str, Text], _FREE] = {}
    labels: Annotated[dict[Text, Text] | None, _FREE] = None
    positive: Annotated[Text | None, _FREE] = None
    default_mpp: SlideMpp | None = None


class SplitConfig(Section):
    """How patients are divided; written once to `splits.csv` of the run and reused.

    Attributes:
        kind: `holdout` (one fold), `kfold`, or `manifest` (its column `split`: train, validation, test).
        folds: of `kfold`.
        test: share of the patients, of `holdout`.
        validation: share of the patients that are not for testing; 0: none. Of `manifest`, only where it names none.
        by_site: whether all patients of a site stay together.
        seed: of the division.
    """

    kind: Literal["holdout", "kfold", "manifest"] = "holdout"
    folds: Annotated[int, Field(ge=2)] = 5
    test: Share = 0.2
    validation: Share = 0.15
    by_site: bool = False
    seed: NonNegativeInt = 0


class TissueConfig(Section):
    """How tissue is found on the overviews, here and in an exported model; see docs/tissue.md.

    Attributes:
        method: `bounded`: thresholds held between bounds, ink told apart by hue; `otsu`: Otsu's threshold of the saturation alone;
            `whole`: all of every slide, for fields that are tissue all over. None: `bounded`; of a run that an earlier release
            began, `otsu`.
        threshold: saturation, 0 to 1, above which a pixel is stained, on every slide. None: found on each.
        ink: `leave_out` what has the colour of ink, or `keep` it, where that is a stain. Of `bounded` only.
        least_share: of an overview on tissue, below which a slide is said to have little.
        masks: folder of tissue that somebody drew: `SLIDE_ID.png` (all but 0 is tissue) or `SLIDE_ID.geojson` (regions of
            QuPath); slides without one have theirs found. The manifest's column `tissue_mask` may name other files in it.
    """

    method: Literal["bounded", "otsu", "whole"] | None = None
    threshold: Share | None = None
    ink: Literal["leave_out", "keep"] = "leave_out"
    least_share: Annotated[Share, _FREE] = 0.01
    masks: Path | None = None


class PrepareConfig(Section):
    """How records are made.

    Attributes:
        records: folder of the records. None: `records` in the run's folder.
        overview_mpp: um/px of the overviews.
        tissue: see `TissueConfig`.
        empty_mask: a slide without tissue is an `error`, or has its `whole` area looked at.
        on_bad_slide: `raise`: the command ends with an error after all slides were tried; `skip`: it does not.
        workers: processes. None: one per processor.
        scheduler: address of a Dask scheduler that the work goes to instead.
        sheets: whether to draw a quality sheet of every slide.
        minutes_per_slide: a slide that takes longer is given up and counts as bad.
    """

    records: Annotated[Path | None, _FREE] = None
    overview_mpp: Mpp = 8.0
    tissue: TissueConfig = TissueConfig()
    empty_mask: Literal["error", "whole"] = "error"
    on_bad_slide: Annotated[Literal["raise", "skip"], _FREE] = "raise"
    workers: Annotated[PositiveInt | None, _FREE] = None
    scheduler: Annotated[str | None, _FREE] = None
    sheets: Annotated[bool, _FREE] = True
    minutes_per_slide: Annotated[PositiveFloat, _FREE] = 60.0


def _part_of_encoder(value: bool | str) -> bool | str:
    if isinstance(value, str) and not re.fullmatch(r"last-[1-9]\d*-blocks?", value):
        raise ValueError("must be true, false or last-N-blocks")
    return value


class ModelConfig(Section):
    """The model; see `SlideClassifier`.

    Attributes:
        magnifications: resolutions of the patches, um/px or "20x".
        patch_size: patch side, pixels.
        n_patches: patches per slide and step.
        stride: overview pixels per cell of the attention map; a power of 2.
        head: one of the classes per slide (`single_label`), any number of them (`multi_label`), or yes and no (`binary`).
        method: how patches are drawn while training; see docs/estimators.md.
        test_method: how they are drawn otherwise; `topk` takes the most probable, `spaced` the most probable whose patches do not
            overlap and lie inside the slide, as far as there are enough, `exhaustive` every one. None: `exhaustive` where no
            slide has more than 600 cells, or no more than 4000 and the attention is uniform when it is trained, else `spaced`.
        test_n_patches: patches per slide otherwise, where the method takes few; more cost no gradient. None: `n_patches`.
        saliency: how strongly the attention starts on what is salient on its slide, as logit per deviation from the slide's mean
            colour; 0: it starts uniform. None: 2 where features are known before the first step (a pretrained encoder), 0 where
            they are learnt from nothing.
        explore_steps: first steps, with patches drawn uniformly. None: 0 where features are known, else a quarter of all
            steps, 200 at most.
        auxiliary: weight of one loss per magnification, which keeps every magnification learning; 0: none.
        encoder: what turns a patch into features: `efficientnet-lite0` (of ImageNet), `small` (learnt from nothing), a preset
            that `ats-mag encoders` lists, a folder with `config.json` and weights, `keras:NAME` (a network of
            `keras.applications` with ImageNet's weights) or `keras:NAME@FILE` and `small@FILE` (weights of the file; of
            `keras:NAME@random`, none). See docs/encoders.md. None: `efficientnet-lite0`; of a run that an earlier release began,
            what it has.
        pool: of the tokens of a vision transformer: `cls`, `mean` or `cls+mean`. None: what its preset says.
        trainable: what of the encoder learns: false, true, or `last-N-blocks`. `small` always learns.
        adapter: features that a small network behind the encoder makes of its own. None: there is none. `small` has none.
        encoder_size: pixels that patches are resized to for the encoder, where it cannot take `patch_size` or sees more when they
            are enlarged. None: they are not, but for `efficientnet-lite0` to the next multiple of 32.
        encoder_dtype: what a pretrained encoder computes in, a dtype policy of Keras; `bfloat16` halves its memory, too. None:
            as the rest.
    """

    magnifications: Annotated[list[Mpp], Field(min_length=1, validate_default=True)] = ["20x", "5x"]  # type: ignore[list-item]
    patch_size: PositiveInt = 224
    n_patches: PositiveInt = 16
    stride: PositiveInt = 8
    head: Literal["single_label", "multi_label", "binary"] = "single_label"
    method: Literal["sequential", "priority", "replacement"] = "sequential"
    test_method: Literal["sequential", "priority", "replacement", "topk", "spaced", "exhaustive"] | None = None
    test_n_patches: PositiveInt | None = None
    saliency: NonNegativeFloat | None = None
    explore_steps: NonNegativeInt | None = None
    auxiliary: NonNegativeFloat = 0.5
    encoder: Text | None = None
    pool: Literal["cls", "mean", "cls+mean"] | None = None
    trainable: Annotated[bool | str, AfterValidator(_part_of_encoder)] = False
    adapter: PositiveInt | None = 64
    encoder_size: PositiveInt | None = None
    encoder_dtype: Literal["float32", "mixed_bfloat16", "mixed_float16", "bfloat16"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _former_keys(cls, values: object) -> object:
        """Reads the keys of earlier releases, with a note of the new ones."""
        if not isinstance(values, dict) or not FORMER_KEYS & values.keys():
            return values
        if "encoder" in values:
            raise ValueError(f"`encoder` has taken the place of {' and '.join(sorted(FORMER_KEYS))}: remove these")
        now = current_model_keys(values)
        named = ", ".join(f"{key}: {value}" for key, value in now.items() if key not in values)
        warnings.warn(f"model.feature and model.feature_weights are called otherwise now: write {named}", stacklevel=2)
        return now


class AugmentConfig(Section):
    """Random changes of training slides; 0 or false: none.

    Attributes:
        flips: mirrors and quarter turns, of the overview, the lattice and the patches together.
        stain: largest relative change of the haematoxylin, eosin and residual densities, one draw per slide.
        brightness: largest change of a mid-grey, as a share of white; white and black stay.
        contrast: largest relative change of the distance from white.
    """

    flips: bool = True
    stain: Share = 0.0
    brightness: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    contrast: Share = 0.0


class TrainConfig(Section):
    """How a model is trained.

    Attributes:
        epochs: passes over the training slides.
        batch_size: slides per batch, of all devices together; a few less where they would not go round several devices.
        accumulate: batches whose mean gradient makes one step of the optimiser.
        learning_rate: the largest.
        encoder_learning_rate: that of what learns of the encoder; it rises and falls with the other. None: the same.
        schedule: `constant`, or `cosine`: falls over the run. None: `cosine` where features are known before the first step,
            else `constant`.
        hold_attention: share of the steps, at the beginning, in which the attention stays as it started and only the rest
            learns; 1: all of them. None: 0.25 where features are known, else 0.
        place_entropy: strength of the regulariser that keeps the attention from settling on few places, or several
            strengths, one after the other. None: 0 where features are known, else 0.03, 0.01 and at last 0.
        sharpen_at: shares of the steps after which the next strength of `place_entropy` comes.
        magnification_entropy: strength of the regulariser that keeps all magnifications in play. None: 0 where features are
            known, else 0.3.
        warmup: share of the run over which the learning rate rises first.
        clip_norm: largest norm of the gradient of all weights together. None: as it is.
        class_weights: `balanced`: slides of rare classes count more in the loss.
        sampling: `balanced`: every class is drawn equally often; an epoch stays as long.
        augment: see `AugmentConfig`.
        patience: epochs without a better `monitor` after which training ends. None: never.
        monitor: a logged metric, e.g. `val_loss`; the best epoch's weights become the model. None: `val_loss` where
            features are known before the first step and there is a validation part, since an attention that is free may learn
            few slides by heart; else the last epoch's, or, with `patience`, those of the best `val_loss` (`cross_entropy`
            where there is no validation).
        on_bad_slide: a slide that cannot be read while training: `raise`, or `skip` it and count it.
        max_bad_slides: more than so many different ones stop the run, under `skip`.
        mixed_precision: whether the networks compute in float16.
        devices: `one`, or `all` GPUs of the machine (`MirroredStrategy`), or `cluster`: those of all hosts that train together
            (`MultiWorkerMirroredStrategy`), as `TF_CONFIG`, SLURM or `ats-mag train --hosts` say; see docs/cluster.md.
        checkpoint_minutes: a checkpoint is written after so many minutes, and after every epoch.
        tensorboard: whether to log for TensorBoard.
        watch: training and validation slides whose attention and patches TensorBoard shows after every epoch.
        local_copies: folder on a local disk that slides are copied to ahead of their use, see `LocalCopies`.
        local_copies_gb: bound of all copies, GB (10^9 bytes).
        feature_cache_gb: memory for what a frozen encoder said of patches that were seen, GB (10^9 bytes); 0: it is computed
            again. Not with changes of colour. See docs/encoders.md.
        feature_cache_file_gb: room on disk for what memory does not hold; it also outlasts the command. 0: none.
        feature_cache_file: file for that, which runs on the same slides may share, one at a time. None: `features.cache` in the
            run's folder.
        seed: of weights, order, augmentation and draws.
        deterministic: whether TensorFlow is held to operations that give the same bits every time, so that an interrupted
            run ends with the weights of an uninterrupted one; on a GPU some of them are slower.
    """

    epochs: PositiveInt = 50
    batch_size: PositiveInt = 8
    accumulate: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-3
    encoder_learning_rate: PositiveFloat | None = None
    schedule: Literal["constant", "cosine"] | None = None
    hold_attention: Annotated[float, Field(ge=0, le=1)] | None = None
    place_entropy: list[NonNegativeFloat] | None = None
    sharpen_at: list[Share] = [0.6, 0.8]
    magnification_entropy: NonNegativeFloat | None = None
    warmup: Share = 0.0
    clip_norm: PositiveFloat | None = None
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Literal["natural", "balanced"] = "natural"
    augment: AugmentConfig = AugmentConfig()
    patience: PositiveInt | None = None
    monitor: str | None = None
    on_bad_slide: Annotated[Literal["raise", "skip"], _FREE] = "raise"
    max_bad_slides: Annotated[NonNegativeInt, _FREE] = 10
    mixed_precision: bool = False
    devices: Literal["one", "all", "cluster"] = "one"
    checkpoint_minutes: Annotated[PositiveFloat, _FREE] = 10.0
    tensorboard: Annotated[bool, _FREE] = False
    watch: Annotated[NonNegativeInt, _FREE] = 4
    local_copies: Annotated[Path | None, _FREE] = None
    local_copies_gb: Annotated[PositiveFloat, _FREE] = DEFAULT_COPIES_GB
    feature_cache_gb: Annotated[NonNegativeFloat, _FREE] = 0.0
    feature_cache_file_gb: Annotated[NonNegativeFloat, _FREE] = 0.0
    feature_cache_file: Annotated[Path | None, _FREE] = None
    seed: NonNegativeInt = 0
    deterministic: bool = True

    @model_validator(mode="after")
    def _a_strength_more_than_changes(self) -> TrainConfig:
        strengths = self.place_entropy
        if strengths is not None and (not strengths or 1 < len(strengths) != len(self.sharpen_at) + 1):
            raise ValueError(
                f"place_entropy needs one strength, or one more than sharpen_at has shares ({len(self.sharpen_at)}). "
                f"Received: {strengths}"
            )
        if list(self.sharpen_at) != sorted(self.sharpen_at):
            raise ValueError(f"sharpen_at must rise. Received: {self.sharpen_at}")
        return self

    @model_validator(mode="after")
    def _balanced_once(self) -> TrainConfig:
        if self.class_weights == "balanced" and self.sampling == "balanced":
            raise ValueError("class_weights and sampling both `balanced` correct the same imbalance twice: choose one")
        return self


class EvaluateConfig(Section):
    """How a trained model is measured.

    Attributes:
        method: how patches are drawn while measuring. None: the model's `test_method`.
        draws: passes per slide; several, with a method that draws at random, show the noise of the sampling.
        on_bad_slide: a test slide that cannot be read: `raise`, or `skip` it and name it in the results.
        resamples: of the bootstrap over patients.
        confidence: of the intervals.
        figures: whether to draw ROC, precision-recall and reliability curves and confusion matrices.
    """

    method: Literal["sequential", "priority", "replacement", "topk", "spaced", "exhaustive"] | None = None
    draws: PositiveInt = 1
    on_bad_slide: Literal["raise", "skip"] = "raise"
    resamples: NonNegativeInt = 2000
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    figures: bool = True


class RunConfig(Section):
    """A run: everything from the slides to the measures.

    Attributes:
        run: folder of all that the run writes.
    """

    run: Annotated[Path, _FREE] = Path("run")
    data: DataConfig = DataConfig()
    splits: SplitConfig = SplitConfig()
    prepare: PrepareConfig = PrepareConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: Annotated[EvaluateConfig, _FREE] = EvaluateConfig()

    @model_validator(mode="after")
    def _balanced_with_one_label(self) -> RunConfig:
        if self.model.head == "multi_label" and "balanced" in (self.train.class_weights, self.train.sampling):
            raise ValueError("class_weights and sampling cannot be `balanced` with model.head: multi_label")
        return self

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.prepare.records or self.run / "records"
