"""``settings``: show the settings in force with their sources. The settings are trading_platform/settings.py."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import emit, to_json

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
