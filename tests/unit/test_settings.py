"""Settings come from four places, the strongest wins, and what is wrong is said in one line that names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trading_platform.domain.errors import SettingsError
from trading_platform.settings import MASK, PREFIX, Settings, duration_s, flatten, load


def env(**values: str) -> dict[str, str]:
    return {PREFIX + name: value for name, value in values.items()}


def refused(tmp_path: Path, environ: dict[str, str], toml: str = "") -> str:
    if toml:
        (tmp_path / "trading_platform.toml").write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load(environ, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_any_source_the_defaults_hold(tmp_path):
    """With nothing set, data lies in `data`, history starts in 2016 and no venue is recorded."""
    settings = load({}, tmp_path)
    assert settings.data_dir == Path("data")
    assert settings.history_start == "2016-01-01"
    assert settings.database_url.get_secret_value() == ""
    assert settings.venues == {}
    assert settings.rest.share == 0.5
    assert settings.log.retention == "keep"
    assert settings.log.retention_s is None
    assert settings.metrics.port is None


def test_a_variable_wins_over_the_file_and_the_command_line_over_both(tmp_path):
    """The order of sources is command line, variable, file, default, and each setting tells which it was."""
    (tmp_path / "trading_platform.toml").write_text('data_dir = "f"\n[rest]\nshare = 0.1\n[log]\nretention = "30d"\n')
    settings = load(env(REST__SHARE="0.2", DATA_DIR="e"), tmp_path, {"data_dir": "c"})
    assert (str(settings.data_dir), settings.rest.share, settings.log.retention_s) == ("c", 0.2, 30 * 86_400)
    assert settings.source_of("data_dir") == "command line"
    assert settings.source_of("rest.share") == "TRADING_PLATFORM_REST__SHARE"
    assert settings.source_of("log.retention") == "trading_platform.toml"
    assert settings.source_of("history_start") == "default"


@pytest.mark.parametrize(
    "values",
    [
        {"VENUES__BINANCE__SYMBOLS": "BTC-USDT,ETH-USDT"},
        {"VENUES__BINANCE__SYMBOLS": ' ["BTC-USDT", "ETH-USDT"]'},
        {"VENUES__BINANCE": '{"symbols": ["BTC-USDT", "ETH-USDT"]}'},
        {"VENUES": '{"binance": {"symbols": "BTC-USDT,ETH-USDT"}}'},
        {"venues__binance__symbols": "BTC-USDT, ETH-USDT, BTC-USDT"},
    ],
)
def test_a_venue_may_be_given_by_keys_or_as_json(tmp_path, values):
    """Nested variables, a JSON object and a comma list all say the same."""
    assert load(env(**values), tmp_path).venues["binance"].symbols == ("BTC-USDT", "ETH-USDT")


def test_a_key_refines_what_json_said(tmp_path):
    """A nested variable is laid over the JSON of its parent."""
    values = env(VENUES='{"binance": {"symbols": ["BTC-USDT"]}}', VENUES__BINANCE__REST_URL="http://127.0.0.1:1/")
    venue = load(values, tmp_path).venues["binance"]
    assert (venue.symbols, venue.rest_url) == (("BTC-USDT",), "http://127.0.0.1:1")


def test_an_empty_table_takes_nothing_away(tmp_path):
    """A variable that holds `{}` leaves the venues of the file."""
    (tmp_path / "trading_platform.toml").write_text('[venues.binance]\nsymbols = ["BTC-USDT"]\n')
    assert list(load(env(VENUES="{}"), tmp_path).venues) == ["binance"]


def test_a_venue_with_a_hyphen_can_be_named_in_a_variable(tmp_path):
    """An underscore within a venue's name stands for its hyphen."""
    assert list(load(env(VENUES__BINANCE_USDM__SYMBOLS="BTC-USDT-PERP"), tmp_path).venues) == ["binance-usdm"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"REST__SHAR": "1"}, ["TRADING_PLATFORM_REST__SHAR ", "TRADING_PLATFORM_REST__SHARE"]),
        ({"DATADIR": "x"}, ["TRADING_PLATFORM_DATADIR ", "TRADING_PLATFORM_DATA_DIR"]),
        ({"VENUES__BINANCE__SYMBOL": "x"}, ["TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS"]),
        ({"REST__SHARE__DEEP": "x"}, ["TRADING_PLATFORM_REST__SHARE is one value"]),
        ({"": "x"}, ["TRADING_PLATFORM_ is not a setting"]),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known(tmp_path, values, words):
    """A misspelt variable is an error that offers the right spelling."""
    message = refused(tmp_path, env(**values))
    assert all(word in message for word in words), message


def test_an_unknown_key_of_the_file_is_named_with_the_nearest_known(tmp_path):
    """A misspelt key of the file is an error that offers the right spelling."""
    message = refused(tmp_path, {}, "[rest]\nshear = 1\n")
    assert message == "rest.shear (trading_platform.toml) is not a setting; the nearest is rest.share"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"REST__SHARE": "7"}, ["rest.share", "TRADING_PLATFORM_REST__SHARE", "'7'", "less than or equal to 1"]),
        ({"REST__SHARE": "0"}, ["greater than 0"]),
        ({"REST__SHARE": "nan"}, ["rest.share"]),
        ({"HISTORY_START": "2016-02-30"}, ["history_start", "2016-01-01"]),
        ({"LOG__RETENTION": "soon"}, ["log.retention", "keep", "90d"]),
        ({"TIMEFRAMES": "1m,7m"}, ["timeframes", "7m", "1s 1m 5m"]),
        ({"TIMEFRAMES": ""}, ["timeframes"]),
        ({"INDICATORS": "RSI 14"}, ["indicators"]),
        ({"METRICS__PORT": "99999"}, ["metrics.port"]),
        ({"REGIMES__STATES": "9"}, ["regimes.states"]),
        ({"DATA_DIR": ""}, ["data_dir"]),
        ({"VENUES__BINANCE__SYMBOLS": "../../x"}, ["venues.binance.symbols", "../../x"]),
        ({"VENUES__BINANCE": "{}"}, ["venues.binance.symbols is required"]),
        ({"VENUES": "{"}, ["TRADING_PLATFORM_VENUES", "JSON object"]),
        ({"VENUES": '{"../x": {"symbols": "A-B"}}'}, ["is not a venue"]),
        ({"TIMEFRAMES": "[1m"}, ["TRADING_PLATFORM_TIMEFRAMES", "list"]),
        (
            {"VENUES__BINANCE__WS_URL": "http://x", "VENUES__BINANCE__SYMBOLS": "A-B"},
            ["venues.binance.ws_url", "wss://"],
        ),
    ],
)
def test_an_impossible_value_is_explained(tmp_path, values, words):
    """The line names the key, where it was set, the value and what is allowed."""
    message = refused(tmp_path, env(**values))
    assert all(word in message for word in words), message


def test_a_wrong_secret_is_not_repeated(tmp_path):
    """An error about the database's address does not show the password in it."""
    message = refused(tmp_path, env(DATABASE_URL="mysql://u:hunter2@h/d"))
    assert "database_url" in message
    assert "hunter2" not in message


def test_secrets_are_masked_wherever_settings_are_shown(tmp_path):
    """Neither the settings' text nor the table of them holds a secret."""
    values = env(
        DATABASE_URL="postgresql://u:hunter2@h/d", VENUES__BINANCE__SYMBOLS="A-B", VENUES__BINANCE__API_KEY="hunter2"
    )
    settings = load(values, tmp_path)
    shown = flatten(settings)
    assert shown["database_url"] == shown["venues.binance.api_key"] == MASK
    assert "hunter2" not in repr(settings) + json.dumps(shown)


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    """A broken file is one line with TOML's own complaint."""
    assert "trading_platform.toml is not TOML" in refused(tmp_path, {}, "rest = [")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    """Bytes that are no UTF-8 are one line, not a traceback."""
    (tmp_path / "trading_platform.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refused(tmp_path, {})


def test_a_toml_date_is_a_day(tmp_path):
    """TOML's own date is as good as its text."""
    (tmp_path / "trading_platform.toml").write_text("history_start = 2020-02-29\n")
    assert load({}, tmp_path).history_start == "2020-02-29"


@pytest.mark.parametrize(("text", "value"), [("123", 123), ("2024-08-08", "2024-08-08"), ("", None)])
def test_record_from_is_an_id_or_a_day(tmp_path, text, value):
    """What to hold from is a trade id, a day, or nothing."""
    values = env(VENUES__BINANCE__SYMBOLS="A-B", VENUES__BINANCE__RECORD_FROM=text)
    assert load(values, tmp_path).venues["binance"].record_from == value


@pytest.mark.parametrize("text", ["-1", "9223372036854775808", "2024-8-8", "soon"])
def test_record_from_is_nothing_else(tmp_path, text):
    """No negative id, none that no venue can have, no other way to write a day."""
    with pytest.raises(SettingsError):
        load(env(VENUES__BINANCE__SYMBOLS="A-B", VENUES__BINANCE__RECORD_FROM=text), tmp_path)


def test_settings_cannot_be_changed(tmp_path):
    """What was read once stays as it was read."""
    with pytest.raises(ValueError, match="frozen"):
        load({}, tmp_path).history_start = "2020-01-01"


def test_variables_of_others_are_left_alone(tmp_path):
    """Only the prefix is ours."""
    assert load({"PATH": "x", "TRADING_PLATFORMER": "x"}, tmp_path) == Settings()


@pytest.mark.parametrize("text", ["0d", "-1d", "1", "d", "1.5h", "１d", "1y", ""])
def test_what_is_no_duration_is_refused(text):
    """A duration is a positive whole number and a unit."""
    with pytest.raises(ValueError, match="must look like"):
        duration_s(text)


def test_hosts_of_the_ui_are_names_as_a_browser_sends_them(tmp_path):
    """Small letters, punycode, perhaps a port; an address or a star is refused."""
    assert load({}, tmp_path).ui.hosts == ()
    assert load(env(UI__HOSTS="NAS.local, b\u00fccher.example:8443"), tmp_path).ui.hosts == (
        "nas.local",
        "xn--bcher-kva.example:8443",
    )
    for wrong in ("http://nas.local", "*", "nas.local/x", "a b"):
        assert "ui.hosts" in refused(tmp_path, env(UI__HOSTS=wrong))
