"""``settings``: show the settings in force with their sources. What they are is trading_platform/settings.py."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trading_platform.commands.common import emit, to_json

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "TRADING_PLATFORM_REST__SHARE=0.3 trading-platform settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--schema``."""
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of trading_platform.toml instead")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print every setting, its value (secrets masked) and where it comes from."""
    from trading_platform.settings import Settings, flatten

    if args.schema:
        print(to_json(Settings.model_json_schema()))
        return 0
    rows = {key: {"value": value, "source": settings.source_of(key)} for key, value in flatten(settings).items()}
    width = max(map(len, rows))
    lines = [f"{key:<{width}}  {to_json(row['value']):<40}  {row['source']}" for key, row in rows.items()]
    emit(args, rows, "\n".join(lines))
    return 0


def page() -> str:
    """Return docs/settings.md: every setting with its default and meaning."""
    from trading_platform.settings import FILE_NAME, PREFIX, reference

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


if __name__ == "__main__":
    print(page(), end="")
