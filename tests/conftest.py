"""One thread a test process: those of pytest-xdist share the cores, and threads that wait for each other spin."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import pytest  # noqa: E402


@pytest.fixture
def trained(tmp_path):
    """A folder with a small network, its parser and its face model."""
    from toy_network import write_toy_training

    return write_toy_training(tmp_path)
