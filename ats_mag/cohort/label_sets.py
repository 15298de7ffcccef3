"""The labels of a slide that may have several."""

from __future__ import annotations

MULTI_LABEL = ";"  # between the labels of one slide


def label_parts(label: str) -> list[str]:
    """The labels of a set such as "a;b"; one alone where it is none."""
    return [part.strip() for part in label.split(MULTI_LABEL) if part.strip()]
