"""Generate the pages of commands, settings and metrics from the code: ``python -m trading_platform.reference docs``.

A test fails if a page does not match the code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from trading_platform import cli
from trading_platform.settings import FILE_NAME, PREFIX, reference


def commands_page() -> str:
    """Return docs/commands.md: each command with its summary, arguments and example."""
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
    own = [a for a in sub._actions if a.dest not in {"help", "data_dir", "json"} and a.help != argparse.SUPPRESS]
    if own:
        yield from ("| argument | meaning |", "|---|---|")
        yield from (f"| `{_spelling(action)}` | {_meaning(action)} |" for action in own)
        yield ""
    example, _, more = (sub.epilog or "").partition("\n\n")
    yield from ("```", *(line.strip() for line in example.splitlines()[1:]), "```")
    if more:
        yield from ("", more)


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


def settings_page() -> str:
    """Return docs/settings.md: every setting with its default and meaning."""
    rows = [f"| `{row.key}` | `{row.variable}` | {row.default} | {row.meaning} |" for row in reference()]
    return "\n".join(
        [
            "# Settings",
            "",
            "<!-- Written by `make docs` from trading_platform/settings.py; a test compares. -->",
            "",
            f"Sources, strongest first: the command line, variables `{PREFIX}…` (nested with `__`),",
            f"`{FILE_NAME}` in the working directory, the defaults. An unknown key is an error in each of them.",
            "Lists are written with commas in a variable, as lists in the file. `trading-platform settings` shows",
            "what is in force and where it comes from, secrets masked; with `--schema` it prints the JSON schema.",
            "",
            "| key | variable | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "In a variable's name a venue's hyphen is an underscore: `TRADING_PLATFORM_VENUES__BINANCE_USDM__SYMBOLS`.",
            "",
            "```toml",
            f"# {FILE_NAME}",
            'history_start = "2024-01-01"',
            "",
            "[venues.binance]",
            'symbols = ["BTC-USDT", "ETH-USDT"]',
            "",
            "[rest]",
            "share = 0.3",
            "```",
            "",
        ]
    )


def metrics_page() -> str:
    """Return docs/metrics.md: every metric with its labels and meaning."""
    from prometheus_client.metrics import MetricWrapperBase

    from trading_platform.telemetry import metrics

    rows = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(metric._labelnames)
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    rows += [
        "| `market_data_gap_seconds` | gauge | venue, symbol | Since the last live trade was received, s. |",
        "| `trading_platform_build_info` | gauge | version, python | Always 1. |",
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "<!-- Written by `make docs` from trading_platform/telemetry/metrics.py; a test compares. -->",
            "",
            "`ingest`, and `up` for all its venues, serve on the loopback what they measure if `metrics.port` names a",
            "port: `/metrics` in Prometheus' format, `/healthz` (the process answers), `/readyz` (it records; else 503",
            "and why not). Measuring never stops recording: what fails is logged once and left out.",
            "",
            "| name | type | labels | meaning |",
            "|---|---|---|---|",
            *sorted(rows),
            "",
        ]
    )


PAGES = {"commands.md": commands_page, "settings.md": settings_page, "metrics.md": metrics_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(sys.argv[1]) / name).write_text(page())
