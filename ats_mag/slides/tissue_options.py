"""How tissue is found on an overview."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

METHODS = ("bounded", "otsu", "whole")
INK = ("leave_out", "keep")


@dataclass(frozen=True)
class TissueOptions:
    """How tissue is found; plain values, that travel with records' states and models.

    Attributes:
        method: `bounded`: thresholds held between bounds, ink told apart by hue; `otsu`: Otsu's threshold of the saturation, as
            earlier releases had; `whole`: all of the slide.
        threshold: saturation, 0 to 1, above which a pixel is stained. None: found on each slide.
        ink: `leave_out` what has the colour of ink, or `keep` it, where that is a stain; of `bounded` only.

    Raises:
        ValueError: an unknown method or treatment of ink, or a threshold outside [0, 1).
    """

    method: str = "bounded"
    threshold: float | None = None
    ink: str = "leave_out"

    def __post_init__(self) -> None:
        for name, choices in (("method", METHODS), ("ink", INK)):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {name}={value!r}")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be a saturation in [0, 1). Received: threshold={self.threshold!r}")

    @property
    def saturation(self) -> int | None:
        """The threshold in 0..255."""
        return None if self.threshold is None else round(255 * self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


DEFAULT_TISSUE = TissueOptions()
OTSU = TissueOptions("otsu")  # of models and runs that an earlier release began
