"""Photographs of real people that other packages bring along, uint8 RGB; a test is skipped where they do not."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image


def hopper():
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    if not path.exists():
        pytest.skip("matplotlib is installed without its sample photograph")
    return np.array(Image.open(path).convert("RGB"))


def astronaut():
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photograph")
    return data.astronaut()
