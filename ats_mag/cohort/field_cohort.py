"""A data set of flat fields as a cohort: slides, a manifest and a configuration that the commands run on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ats_mag.config.writing import config_text
from ats_mag.slides.writing.flat_many import Conversion, convert_images, slide_names
from ats_mag.system.atomic_files import write_whole

if TYPE_CHECKING:
    import pandas as pd

    from ats_mag.slides.writing.flat import Converted


class FieldCohort:
    """Fields and what is known of them, to be written into one folder.

    In it come `slides/STEM.tiff`, `manifest.csv` and `config.yaml`. Slides that are there already are kept; the tables are
    written only when every field is a slide, so that a manifest is never shorter than the data set without a word.

    Args:
        fields: one row per field: `image` (its file), `patient_id`, `label`, and any further columns of the manifest.
        out: the folder; made where absent.
        mpp: um/px of all fields.
        config: values of the configuration beside `data`, see `config_text`.
        notes: why they have these values.
        head: the first lines of the configuration.

    Raises:
        ValueError: two fields of the same stem.
        ConfigError: an unknown key or a wrong value in `config`.
    """

    def __init__(
        self,
        fields: pd.DataFrame,
        out: str | os.PathLike[str],
        mpp: float,
        config: Mapping[str, Any],
        notes: Mapping[str, str],
        head: str,
    ) -> None:
        self.fields = fields
        self.out = Path(out)
        self.mpp = mpp
        self.slides = slide_names(map(Path, fields["image"]), self.out / "slides")
        data = {"slides": "slides", "manifest": "manifest.csv"}
        self._config = config_text({"run": "run", "data": data, **config}, notes, head)

    def convert(self, workers: int | None = None) -> Iterator[Converted]:
        """Converts the fields, and yields what became of each as it is done."""
        return convert_images(self.slides, Conversion(self.mpp), workers)

    def write_tables(self) -> list[Path]:
        """Writes `manifest.csv`, and `config.yaml` where there is none: call it when every field is converted.

        Returns:
            The files that were written.
        """
        stems = [slide.stem for slide in self.slides.values()]
        table = self.fields.drop(columns="image")
        table.insert(0, "slide_id", stems)
        table.insert(2, "path", [f"{stem}.tiff" for stem in stems])
        table["mpp"] = self.mpp
        return write_cohort_tables(self.out, table, self._config)


def write_cohort_tables(out: Path, manifest: pd.DataFrame, config: str) -> list[Path]:
    """Writes a manifest, and a configuration where there is none: it may have been edited. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "manifest.csv", manifest.to_csv(index=False).encode())
    if (out / "config.yaml").exists():
        return [out / "manifest.csv"]
    write_whole(out / "config.yaml", config.encode())
    return [out / "manifest.csv", out / "config.yaml"]
