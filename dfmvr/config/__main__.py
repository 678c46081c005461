"""`python -m dfmvr.config [--check]`: write config/README.md and the schema, or only check that they are up to date."""

import sys
from pathlib import Path

from dfmvr.config.docs import write_docs

old = write_docs(Path(__file__).parents[2], check="--check" in sys.argv)
if old and "--check" in sys.argv:
    sys.exit(f"out of date: {', '.join(path.name for path in old)}; run `make docs`")
