"""docs/commands.md, written from the commands' own arguments: ``python -m trading_platform.commands._reference``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from trading_platform import cli


def page() -> str:
    """Return the page: each command with its summary, arguments and example."""
    return "\n".join([*_opening(), *(line for name in cli.COMMANDS for line in _command(name)), ""])


def _opening() -> list[str]:
    return [
        "# Commands",
        "",
        "<!-- Written by `make docs` from trading_platform/commands/; a test compares. -->",
        "",
        "`trading-platform COMMAND`, also `python -m trading_platform COMMAND`. Exit code 0: done; 1: the work failed;",
        "2: arguments or settings are wrong, one line says what to change. Every command takes `--data-dir DIR`",
        "(default `data`) and `--json` (the result as JSON on stdout; logs go to stderr).",
    ]


def _command(name: str) -> Iterator[str]:
    parser, _ = cli.build_parser(name)
    sub = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices[name]
    yield from ("", f"## {name}", "", f"{sub.description or cli.COMMANDS[name].summary}", "")
    own = [a for a in sub._actions if a.dest not in {"help", "data_dir", "json"}]
    if own:
        yield from ("| argument | meaning |", "|---|---|")
        yield from (f"| `{_spelling(action)}` | {_meaning(action)} |" for action in own)
        yield ""
    yield from ("```", *(line.strip() for line in (sub.epilog or "").splitlines()[1:]), "```")


def _spelling(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        metavar = "\\|".join(map(str, action.choices))
    if not action.option_strings:
        return f"[{metavar}]" if action.nargs in {"?", "*"} else metavar
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {metavar}")


def _meaning(action: argparse.Action) -> str:
    default = action.default if isinstance(action.default, str | int | float) else ""
    text = (action.help or "").replace("%(default)s", str(default)).replace("%%", "%").replace("|", "\\|")
    return f"{text} (required)" if action.required and action.option_strings else text


if __name__ == "__main__":
    print(page(), end="")
