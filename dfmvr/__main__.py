"""`python -m dfmvr` is `dfmvr`."""

import sys

from dfmvr.cli import main

sys.exit(main())
