"""Settings for commands that need nearly none: where the data lies, unless something else is set.

The model of all settings takes longer to import than a short query to answer. What else is asked of these settings is
read then, from all sources. What may be set, and what is said when it is wrong, is settings.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trading_platform.domain.data_path import check_data_path

if TYPE_CHECKING:
    from trading_platform.settings import Settings

PREFIX, FILE_NAME = "TRADING_PLATFORM_", "trading_platform.toml"
"""As in settings.py; a test compares them."""


class NoAddress:
    """The address of no database: the ledger is the embedded one."""

    def get_secret_value(self) -> str:
        """Return nothing."""
        return ""


class QuickSettings:
    """The data directory, and that no database is set; for any other attribute the whole settings are read."""

    def __init__(self, data_dir: Path, overrides: Mapping[str, object]) -> None:
        self.data_dir = data_dir
        self.database_url = NoAddress()
        self._overrides = dict(overrides)
        self._whole: Settings | None = None

    def __getattr__(self, name: str) -> Any:
        if self._whole is None:
            from trading_platform import settings

            self._whole = settings.load(overrides=self._overrides)
        return getattr(self._whole, name)


def quick(overrides: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Settings | None:
    """Return the settings if at most the data directory is set, None if they must be read as a whole."""
    named = os.environ if environ is None else environ
    ours = {name: text for name, text in named.items() if name.upper().startswith(PREFIX)}
    if os.path.lexists(FILE_NAME) or any(name.upper() != f"{PREFIX}DATA_DIR" for name in ours) or len(ours) > 1:
        return None
    text = str(overrides.get("data_dir", next(iter(ours.values()), "data")))
    try:
        check_data_path(Path(text))
    except ValueError:
        return None  # the whole of the settings says what is wrong
    return cast("Settings", QuickSettings(Path(text), overrides))
