"""How the networks of the slides of three scales are trained."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from data_prep.three_scale_slides.layout import MAGNIFICATIONS

GRADIENT = "gradient of 0.2"


class Settings(BaseModel):
    """How everything is trained.

    Attributes:
        magnifications: um/px.
        method: of drawing, or `gradient of 0.2`: drawn as `sequential`, learnt with the gradient of attention-sampling 0.2.
        uniform: whether the attention stays uniform over the tissue.
        patch_size: pixels.
        n_patches: N, at whatever magnifications.
        overview_mpp: um/px.
        stride: overview pixels per cell.
        batch_size: slides.
        epochs: of training.
        learning_rate: of Adam; falls along a cosine to a fiftieth.
        stand_out: logit per deviation that a cell stands out of its slide, at the start of training; 0: start uniform.
        hold_epochs: in which the attention stays as it starts, so that features come before it.
        attention_epochs: after these, in which the features stay as they are, so that the attention goes where they tell most
            and not where they could learn slides by heart. All is trained in the epochs that remain.
        entropy, magnification_entropy: strengths of the attention's regularisers.
        settled_entropy: of the second in the epochs in which all is trained; below 0 it has every slide settle on a
            magnification, once all are known.
        auxiliary: see `SlideClassifier`.
        seed: of weights, order and draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnifications: tuple[float, ...] = MAGNIFICATIONS
    method: str = "priority"
    uniform: bool = False
    patch_size: int = 32
    n_patches: int = 15
    overview_mpp: float = 32.0
    stride: int = 2
    batch_size: int = 16
    epochs: int = 40
    learning_rate: float = 1e-3
    stand_out: float = 3.0
    hold_epochs: int = 20
    attention_epochs: int = 10
    entropy: float = 0.002
    magnification_entropy: float = 0.0
    settled_entropy: float = -0.05
    auxiliary: float = 0.5
    seed: int = 0
