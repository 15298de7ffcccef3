"""All encoders that have a name, for a reader."""

from __future__ import annotations

from dataclasses import dataclass

from ats_mag.model.encoders.lite0_file import lite0_file
from ats_mag.model.encoders.names import APPLICATION, LITE0, SMALL
from ats_mag.model.encoders.presets import Preset, find_folder, presets
from ats_mag.model.encoders.stored_tensor import WeightsError


@dataclass(frozen=True)
class Entry:
    """One encoder, in words.

    Attributes:
        name: of the encoder.
        at_hand: whether it can be built now, without a network.
        where: its folder, or why it is not at hand.
        features: what they are.
        made_for: side of the patches and their resolution.
        licence: of the weights.
        source: where it is to be had; empty where it is here already.
    """

    name: str
    at_hand: bool
    where: str
    features: str
    made_for: str
    licence: str
    source: str = ""


def listing() -> list[Entry]:
    """The encoders, those without a folder first."""
    return [
        _lite0(),
        Entry(SMALL, True, "yes, no weights", "learnt", "any patch", "-"),
        Entry(f"{APPLICATION}NAME", False, "Keras gets it", "mean", "photographs", "see Keras"),
        *map(_of_preset, presets().values()),
    ]


def _lite0() -> Entry:
    try:
        at_hand, problem = bool(lite0_file()), ""
    except WeightsError as error:
        at_hand, problem = False, str(error)
    where = "yes, installed" if at_hand else "no"
    return Entry(LITE0, at_hand, where, "mean", "photographs, 32 px and more", "Apache-2.0", problem)


def _of_preset(preset: Preset) -> Entry:
    folder = find_folder(preset)
    where = str(folder) if folder else "no, gated" if preset.gated else "no"
    made_for = f"{preset.image_size} px at {', '.join(f'{mpp:g}' for mpp in preset.mpp)} um/px"
    return Entry(
        preset.name, folder is not None, where, preset.pool, made_for, preset.licence, "" if folder else preset.source()
    )
