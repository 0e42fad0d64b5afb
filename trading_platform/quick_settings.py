"""A fast substitute for settings.py if only the data directory is set: it avoids importing pydantic.

Importing the model of all settings takes longer than answering a short query. Any other attribute loads the full
settings. Their definition, and errors about them, are settings.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trading_platform.domain.inputs.data_path import check_data_path

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
        return None  # loading the full settings reports the error
    return cast("Settings", QuickSettings(Path(text), overrides))
