"""A data directory may be called anything that a file system takes: everything lies below it, and is found there."""

from __future__ import annotations

import os

import pytest

from tests.support.builders.lakes import SYMBOL, VENUE, Market, at
from trading_platform.api.readers import answer
from trading_platform.domain.errors import SettingsError, WorkError
from trading_platform.settings import load
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

T0 = 1_723_161_600 * 10**9
NAMES = [
    "a?b",
    "a#b",
    "a%41b",
    "%2e",
    "a[b]*c",
    "a 'b\" c",
    "a\nb",
    "a;b&c",
    "~",
    "file:x?mode=memory",
    ":memory:",
    "ü",
]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_it_is_called_nothing_lies_elsewhere(tmp_path, monkeypatch, name):
    """The ledger, the lake and what SQL reads lie below the name as it was given, relative or absolute."""
    monkeypatch.chdir(tmp_path)
    settings = load({}, tmp_path, {"data_dir": name})
    market = Market.open(settings.data_dir)
    market.hold(at((1, T0), (2, T0 + 1)))
    market.ledger.close()
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name / "ledger.sqlite").stat().st_size
    ledger = Ledger.open(DataDir(tmp_path / name))
    assert ledger.symbols() == [(VENUE, SYMBOL)]
    ledger.close()
    (batch,) = answer("SELECT count(*) FROM ticks", settings=settings)
    assert batch.column(0).to_pylist() == [2]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a\udcff", "must be UTF-8"),
        ("a\\b", "backslash"),
        ("venue=x/data", "named like a partition"),
        ("x" * 4000, "longer than"),
        ("a\0b", "must name a directory"),
        ("", "must name a directory"),
    ],
)
def test_what_readers_of_a_lake_cannot_take_is_refused(tmp_path, name, says):
    """One line that says what is wrong with the name, before anything is made."""
    with pytest.raises(SettingsError, match=says) as refused:
        load({}, tmp_path, {"data_dir": name})
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("damage", [b"no database at all" * 99, None])
def test_a_ledger_that_is_none_is_told_in_one_line(tmp_path, damage):
    """A file of junk in its place, or a folder, is no bug of ours."""
    path = DataDir(tmp_path).ledger_path
    path.mkdir() if damage is None else path.write_bytes(damage)
    with pytest.raises(WorkError) as told:
        Ledger.open(DataDir(tmp_path))
    assert "the ledger" in str(told.value) and "\n" not in str(told.value)
