"""Slides and a manifest in, records out: on many processes or machines, and nothing is lost when any of them dies."""

from ats_mag.preparation.folder import unlisted_records
from ats_mag.preparation.run import FAILED, Prepared, prepare

__all__ = ["FAILED", "Prepared", "prepare", "unlisted_records"]
