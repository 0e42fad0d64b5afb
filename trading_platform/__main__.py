"""``python -m trading_platform`` is the command line."""

from __future__ import annotations

import sys

from trading_platform.processes import early_signals

early_signals.arm(sys.argv[1:])  # before the imports below: a signal may come while they run

from trading_platform.cli import main  # noqa: E402

sys.exit(main())
