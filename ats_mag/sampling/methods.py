"""The names of the ways to draw, for those who need neither Keras nor its backend."""

from __future__ import annotations

GUMBEL_METHODS = ("sequential", "priority")
STOCHASTIC_METHODS = ("replacement", *GUMBEL_METHODS)
EXHAUSTIVE = "exhaustive"
METHODS = (*STOCHASTIC_METHODS, "topk", EXHAUSTIVE)  # of any distribution, see `draws.sample`
SPACED = "spaced"  # of patches of slides, at test, see `spaced.most_probable_apart`
TEST_METHODS = (*METHODS, SPACED)
