"""One module per command of the command line; the table is cli.COMMANDS.

A command module has `add_arguments`, `run` and `EXAMPLE` (one command line, shown by ``--help``); cli adds
``--data-dir`` and ``--json``. Importing it loads nothing heavy: pydantic, numpy, Arrow and the engine are
imported inside `run`. A command does no work of its own: it reads arguments, calls the engine, prints.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trading_platform.settings import Settings


class CommandModule(Protocol):
    """The interface of a command module, as cli.py calls it."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""

    def run(self, args: argparse.Namespace, settings: Settings) -> int:
        """Run the command and return the exit code; raise UsageError (exit 2) or WorkError (exit 1) with one line."""
