"""``python -m trading_platform`` is the command line."""

from __future__ import annotations

import sys

from trading_platform.cli import main

sys.exit(main())
