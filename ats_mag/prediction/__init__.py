"""Predictions of a cohort: slides in, one row of a CSV per slide out, and nothing is lost when the process dies."""

from ats_mag.cohort.find_slides import CohortSlide, find_slides
from ats_mag.prediction.cohort import Predicted, predict_cohort

__all__ = ["CohortSlide", "Predicted", "find_slides", "predict_cohort"]
