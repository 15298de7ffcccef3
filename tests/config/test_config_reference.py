"""The page of all keys agrees with the models."""

from pathlib import Path

from ats_mag.config.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_page_is_current():
    said = "docs/configuration.md is not current: run `python -m ats_mag.config.reference docs/configuration.md`"
    assert PAGE.read_text() == reference().rstrip() + "\n", said


def test_choices_bounds_and_resolutions_are_told():
    page = reference()
    assert "| `kind` | `holdout`, `kfold`, `manifest` | `holdout` |" in page
    assert "| `overview_mpp` | um/px, or e.g. `20x` | `8.0` | um/px of the overviews. |" in page
    assert "| `default_mpp` | um/px, or e.g. `20x`, null | `null` |" in page
    assert "| `folds` | whole number >= 2 | `5` |" in page
    assert "## train.augment" in page
