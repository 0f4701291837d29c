import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def real_data():
    root = os.environ.get("URBILD_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("URBILD_DATA names no folder of real data")
    return Path(root)
