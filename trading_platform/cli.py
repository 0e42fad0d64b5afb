"""The command line: the table of commands, and what every command has in common.

Reading settings, ``--data-dir``, ``--json``, exit codes and one-line errors happen here, once. What a command does
is its module in commands/; only the module of the command asked for is imported, and modules import what is heavy
inside `run`, so that ``--help`` answers at once. Dagster is never imported, only started as a child.
"""

from __future__ import annotations

import argparse
import importlib
import os
import stat
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.domain.inputs.secrets import masked
from trading_platform.processes import early_signals, standard_streams

if TYPE_CHECKING:
    from trading_platform.commands import CommandModule
    from trading_platform.settings import Settings

PROG = "trading-platform"
_LONGEST_COMPLAINT, _LONGEST_ERROR = 300, 2000


class Command(NamedTuple):
    """One line of the table: the module that does it and what it does in one sentence."""

    module: str
    summary: str


_SUMMARIES = {
    "up": "the whole platform: simulator or venue, ingest, Dagster with its UI; Ctrl-C stops all of it",
    "demo": "record, break, repair and compute on a small market, then report; ends by itself",
    "ingest": "record a venue's trades without Dagster, until stopped",
    "simulate": "serve a venue's real protocol on this machine",
    "recover": "fetch what the gap ledger says is missing",
    "backfill": "bring a range of days up to date in one run",
    "status": "show what is complete and what is not",
    "gaps": "list single gaps, retry one, or declare one lost",
    "verify": "check the identity, the order and every file; non-zero if anything is violated",
    "replay": "rebuild lake and ledger from the raw log",
    "query": "answer SQL over the lake",
    "symbols": "show what a venue lists",
    "report": "write the data quality report of a day as one HTML page",
    "database": "start, stop or show a TimescaleDB of this machine; prepare the schemas of any",
    "doctor": "say what is wrong on this machine, and what to do",
    "top": "show the health of a running ingest, live",
    "settings": "show the settings in force and where each comes from",
}
COMMANDS: dict[str, Command] = {n: Command(f"trading_platform.commands.{n}", text) for n, text in _SUMMARIES.items()}
"""Name to module. A command that is not here does not exist; a test checks that each line has its module."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        if len(message) > _LONGEST_COMPLAINT:
            message = f"{message[:_LONGEST_COMPLAINT]}…"
        self.exit(2, f"{self.prog}: {masked(one_line(message))} (see {self.prog} --help)\n")


def one_line(text: str) -> str:
    r"""Return `text` on one line, control characters escaped: what users typed ends up in messages.

    >>> one_line("bad\nname\x1b[31m")
    'bad name\\x1b[31m'
    """
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


def build_parser(command: str | None) -> tuple[argparse.ArgumentParser, CommandModule | None]:
    """Return the parser, with the arguments of `command` only, and that command's module."""
    parser = _Parser(
        prog=PROG,
        description="Records every exchange trade, proves that none is missing, repairs what is.",
        epilog=f"'{PROG} COMMAND --help' explains a command and shows an example.",
        allow_abbrev=False,
    )
    table = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    module: CommandModule | None = None
    for name, (path, summary) in COMMANDS.items():
        # What argparse prints is a format: a per cent sign in a docstring would be taken for a field.
        sub = table.add_parser(
            name,
            help=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == command:
            module = importlib.import_module(path)
            sub.description = f"{summary[0].upper()}{summary[1:]}."
            module.add_arguments(sub)
            _add_common(sub, getattr(module, "EXAMPLE", None))
    return parser, module


def _add_common(parser: argparse.ArgumentParser, example: str | None) -> None:
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (default: data)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    if example is not None and parser.epilog is None:
        parser.epilog = f"example:\n  {example}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 arguments or settings are wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is not None:
        return _answer(arguments)
    # A process of our own.
    early_signals.arm(arguments)
    if not standard_streams.reserve():
        return _complain(UsageError("stdout is closed; give the result a place to go, > /dev/null for nowhere"), 2)
    try:
        return _answer(arguments)
    finally:
        standard_streams.let_go()


def _answer(arguments: list[str]) -> int:  # noqa: PLR0911  one return an exit code
    try:
        return _run(arguments)
    except UsageError as error:
        return _complain(error, 2)
    except WorkError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`… | head`); nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        # The machine's refusal, not a bug: a disk, a permission, a name that is too long.
        return _complain(WorkError(_reason(error)), 1)
    except Exception:  # noqa: BLE001  the last handler: a bug is loud, and its exit code is that of failed work
        traceback.print_exc()
        return 1


def _run(arguments: list[str]) -> int:
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{word[:60]!r} is not UTF-8; write it in UTF-8") from None
    name = next((a for a in arguments if not a.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; commands: {' '.join(COMMANDS)}"
        raise UsageError(one_line(f"{name[:40]!r} is not a command{hint}"))
    parser, module = build_parser(name)
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:
        sys.stdout.flush()
        return stop.code if isinstance(stop.code, int) else 2
    if module is None:  # argparse has refused every way to get here; kept so that the type is honest
        raise UsageError("no command was given")
    early_signals.disarm()
    code = module.run(args, _settings(args, quick=getattr(module, "QUICK", False)))
    sys.stdout.flush()
    return code


def _settings(args: argparse.Namespace, *, quick: bool) -> Settings:
    from trading_platform import quick_settings
    from trading_platform.telemetry import logs

    overrides = {} if args.data_dir is None else {"data_dir": args.data_dir}
    few = quick_settings.quick(overrides) if quick else None
    level = "info"
    if few is not None:
        loaded = few
    else:
        from trading_platform import settings

        loaded = settings.load(overrides=overrides)
        level = loaded.log.level
    try:
        mode = loaded.data_dir.stat().st_mode
    except (FileNotFoundError, PermissionError):
        mode = None  # what may be missing, and what must not, is each command's business
    except OSError as error:
        raise UsageError(f"data directory {error.strerror}: {str(loaded.data_dir)[:80]}; give another") from None
    if mode is not None and not stat.S_ISDIR(mode):
        raise UsageError(f"data directory {loaded.data_dir} is a file; give another --data-dir")
    logs.configure(level=level, as_json=args.json or not sys.stderr.isatty())
    return loaded


def _reason(error: OSError) -> str:
    """Return what the system says, and of which file; of none where it was the result that could not be written."""
    what = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return f"{error.strerror or error}{what}"


def _complain(error: Exception, code: int) -> int:
    text = masked(one_line(str(error)))
    print(f"{PROG}: {text[:_LONGEST_ERROR]}{'…' if len(text) > _LONGEST_ERROR else ''}", file=sys.stderr)
    return code


def executable() -> list[str]:
    """Return the words that start this command line in a child process."""
    return [sys.executable, "-m", Path(__file__).parent.name]


if __name__ == "__main__":
    sys.exit(main())
