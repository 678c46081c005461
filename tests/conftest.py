"""One thread a test process: those of pytest-xdist share the cores, and threads that wait for each other spin."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
