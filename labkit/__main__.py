"""``python -m labkit``, the same as ``labkit``; this is the form that torchrun starts."""

import sys

from labkit.cli import main

sys.exit(main())
