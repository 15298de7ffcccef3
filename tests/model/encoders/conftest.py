import pytest

import ats_mag


@pytest.fixture(scope="session")
def lite0():
    """EfficientNet-Lite0 for patches of 64 px, frozen; who changes that changes it back."""
    return ats_mag.encoder("efficientnet-lite0", 64)
