"""The mask that a slide was prepared with is known by its content, whatever it is called now."""

import pytest

from ats_mag.config.schema import RunConfig
from ats_mag.preparation.state import State, write_state
from ats_mag.runs.drawn_mask import drawn_mask
from ats_mag.slides.own_mask import OwnMaskError
from ats_mag.system.atomic_files import digest


def test_the_mask_of_the_preparation_is_found_again_or_missed(tmp_path):
    masks, records = tmp_path / "masks", tmp_path / "records"
    masks.mkdir()
    (records / "state").mkdir(parents=True)
    (masks / "other name.png").write_bytes(b"drawn")
    (masks / "s0.png").write_bytes(b"drawn anew since")
    for name, drawn in (("s0", {"own_mask": digest(masks / "other name.png")}), ("s1", {})):
        write_state(records, State(name, "done", source={"files": [], **drawn}))
    config = RunConfig.model_validate({"run": "run", "prepare": {"records": records, "tissue": {"masks": masks}}})
    assert drawn_mask(config, "s0") == str(masks / "other name.png")
    assert drawn_mask(config, "s1") is None
    assert drawn_mask(config, "never prepared") is None
    (masks / "other name.png").unlink()
    with pytest.raises(OwnMaskError, match="slide 's0' was drawn by hand"):
        drawn_mask(config, "s0")
