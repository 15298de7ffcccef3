"""Explaining predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ats_mag.cli.console import say
from ats_mag.cli.contradicted_mpp import note_contradicted_mpp
from ats_mag.cli.imports import Imports, import_given
from ats_mag.cli.options import TissueMasks, naming_options, slide_mpp
from ats_mag.cli.slide_progress import show_counts, show_failures, show_progress

if TYPE_CHECKING:
    from ats_mag.pictures.inspected_slide import InspectedSlide
    from ats_mag.prediction import CohortSlide


def explain(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    slides: Annotated[
        list[Path],
        typer.Argument(
            help="Slide files, folders of them, manifests (CSV, XLSX), or a run's configuration (YAML): its test slides."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; files of the same names are replaced.")],
    n_patches: Annotated[
        int | None, typer.Option(min=1, help="Patches to look at; default: as the model does.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="How to draw them: topk, sequential, priority, replacement; default: as the model does."),
    ] = None,
    mpp: Annotated[
        str | None,
        typer.Option(help="Resolution of level 0, um/px or \"20x\", over the files' own; a manifest's goes first."),
    ] = None,
    slide_root: Annotated[
        Path | None, typer.Option(help="Folder that a manifest's paths are relative to; default: the manifest's.")
    ] = None,
    tissue_masks: TissueMasks = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Whose test slides a configuration stands for; default: the model's.")
    ] = None,
    modules: Imports = None,
) -> None:
    """Draws what a model looked at on slides, and writes it as arrays and GeoJSON.

    OUT gets attention.png, patches.png, maps.npz and slide.geojson of a slide; of several, OUT/SLIDE_ID does.
    """
    import_given(modules)
    from ats_mag.cli.slides_to_explain import folders_of, slides_to_explain
    from ats_mag.model.saving import load_classifier
    from ats_mag.system.atomic_files import check_place

    check_place(out / "attention.png")
    found = slides_to_explain(slides, model, slide_root, slide_mpp(mpp), fold, tissue_masks)
    note_contradicted_mpp(found)
    one_file = len(slides) == len(found) == 1 and Path(found[0].path) == slides[0]
    folders = folders_of(found, out, one_file)
    loaded = load_classifier(model)
    asked = {"method": method, "n_patches": n_patches}
    if one_file:
        inspected, files = _explain(loaded, found[0], folders[0], asked)
        for file in files:
            say(f"wrote {file}")
        say(_scores(inspected))
        return
    done = list(show_progress(_explain_all(loaded, found, folders, asked), len(found), "Explaining", "explained"))
    show_failures([(one.path, one.error) for one in done if one.error is not None], None)
    show_counts([one.status for one in done], ("explained", "failed"), f" in {out}")
    if any(one.error is not None for one in done):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Explained:
    """What became of a slide."""

    path: str
    status: str
    error: str | None = None


def _explain_all(
    model: Any, slides: Sequence[CohortSlide], folders: Sequence[Path], asked: dict[str, Any]
) -> Iterator[_Explained]:
    from ats_mag.system.atomic_files import is_of_the_disk
    from ats_mag.system.open_files import limit_behind

    for slide, folder in zip(slides, folders, strict=True):
        try:
            inspected, _ = _explain(model, slide, folder, asked)
        except (OSError, ValueError, RuntimeError) as error:  # of this slide; the others have their turn
            if limit_behind(error) is not None or (isinstance(error, OSError) and is_of_the_disk(error)):
                raise
            yield _Explained(slide.path, "failed", str(error))
            continue
        say(f"{slide.slide_id}: {_scores(inspected)}")
        yield _Explained(slide.path, "explained")


def _explain(model: Any, slide: CohortSlide, folder: Path, asked: dict[str, Any]) -> tuple[InspectedSlide, list[Path]]:
    from ats_mag.pictures.explain import write_explanation
    from ats_mag.pictures.inspected_slide import inspect_slide

    with naming_options(method="--method", n_patches="--n-patches", n_samples="--n-patches"):
        inspected = inspect_slide(model, slide.path, slide.mpp, tissue_mask=slide.tissue_mask, **asked)
    return inspected, write_explanation(inspected, folder)


def _scores(inspected: InspectedSlide) -> str:
    import numpy as np

    from ats_mag.model.attention_state import spread_of
    from ats_mag.model.attention_words import in_words

    scores = ", ".join(f"{name} {p:.3f}" for name, p in zip(inspected.classes, inspected.probabilities, strict=True))
    masses = dict(
        zip(map("{:g}".format, inspected.lattice.magnifications), inspected.attention.sum((0, 1)), strict=True)
    )
    return f"{scores}; attention {in_words(float(np.asarray(spread_of(inspected.attention[None]))[0]), masses)}"
