"""What the package offers is there under its name."""

import pytest

import ats_mag

pytestmark = pytest.mark.needs_tensorflow


@pytest.mark.parametrize("name", ats_mag.__all__)
def test_every_public_name_is_found(name):
    assert getattr(ats_mag, name) is not None
