"""Whatever is set, reading settings either works or fails with one line."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, strategies as st

from trading_platform.domain.errors import SettingsError
from trading_platform.settings import PREFIX, flatten, load, reference

KNOWN = [row.variable.removeprefix(PREFIX).replace("<NAME>", "BINANCE") for row in reference()]
PARTS = ["VENUES", "BINANCE", "REST", "SHARE", "LOG", "SYMBOLS", "X", "", "0"]
NAMES = st.one_of(st.sampled_from(KNOWN), st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("__".join))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["binance", "symbols", "share", "rest", "x", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["1m,5m", "BTC-USDT", "{}", "[]", '{"binance": {"symbols": ["A-B"]}}', '{"share": 1}', "[[1]]", "1e999"]
    ),
)


def read(environ: dict[str, str], overrides: dict[str, object]) -> None:
    try:
        settings = load(environ, Path("/nonexistent"), overrides)
    except SettingsError as error:
        assert "\n" not in str(error)
    else:
        assert all(settings.source_of(key) for key in flatten(settings))


@given(st.dictionaries(NAMES.map(PREFIX.__add__), VALUES, max_size=4))
@example({PREFIX + "VENUES": "{}", PREFIX + "VENUES__BINANCE": "{}"})
def test_any_environment_is_read_or_refused(environ):
    """No environment makes reading fail in any other way than a SettingsError of one line."""
    read(environ, {})


@given(st.dictionaries(st.sampled_from(["venues", "rest", "data_dir", "timeframes", "x", ""]), JSON, max_size=3))
def test_any_document_is_read_or_refused(document):
    """No document, as a file or the command line may give it, makes reading fail in any other way."""
    read({}, document)
