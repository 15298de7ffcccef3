"""JSON files hold any name that a file may have."""

import json
import os

from hypothesis import given
from hypothesis import strategies as st

from ats_mag.system.json_text import json_bytes


@given(st.binary(max_size=20), st.text(max_size=10))
def test_names_come_back(name, text):
    values = {"path": os.fsdecode(name), text: [1.5, None]}
    written = json_bytes(values)
    assert json.loads(written.decode()) == values  # which is UTF-8, to the last byte
    assert written.endswith(b"\n")
