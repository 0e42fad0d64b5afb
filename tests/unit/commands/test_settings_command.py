"""`settings` shows what is in force and where it comes from."""

from __future__ import annotations

import json

from trading_platform import cli


def test_every_setting_is_shown_with_its_source(tmp_path, monkeypatch, capsys):
    """A variable's name stands beside what it set, `default` beside the rest, a secret is masked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_PLATFORM_REST__SHARE", "0.25")
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", "postgresql://u:hunter2@h/d")
    assert cli.main(["settings"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["rest.share"] == ["0.25", "TRADING_PLATFORM_REST__SHARE"]
    assert lines["history_start"] == ['"2016-01-01"', "default"]
    assert lines["database_url"] == ['"********"', "TRADING_PLATFORM_DATABASE_URL"]


def test_the_schema_is_a_json_schema(tmp_path, monkeypatch, capsys):
    """`--schema` prints what an editor needs to check the file."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["settings", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert {"data_dir", "venues", "rest"} <= set(schema["properties"])
