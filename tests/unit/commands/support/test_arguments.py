"""Arguments that several commands take are read alike, and results are printed alike."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from trading_platform.commands.support.arguments import (
    add_days,
    emit,
    parse_days,
    parse_list,
    parse_symbols,
    parse_venue,
    to_json,
)
from trading_platform.domain.errors import SymbolError, UsageError
from trading_platform.domain.position import Position


def test_a_result_is_text_or_json(capsys):
    """The same call prints a table for a person and a document for a program."""
    emit(argparse.Namespace(json=False), {"open": 0}, "nothing open")
    emit(argparse.Namespace(json=True), {"open": 0}, "nothing open")
    assert capsys.readouterr().out == 'nothing open\n{"open": 0}\n'


def test_json_has_no_words_of_its_own():
    """NaN and infinity, which JSON lacks, become null; tuples with names become objects."""
    payload = {"nan": float("nan"), "inf": float("-inf"), "at": Position(1, 2), "path": Path("a"), 3: {"x"}}
    assert json.loads(to_json(payload)) == {
        "nan": None,
        "inf": None,
        "at": {"segment": 1, "offset": 2},
        "path": "a",
        "3": ["x"],
    }


@pytest.mark.parametrize("text", ["", ",", "A,,B", "A,"])
def test_a_list_with_an_empty_item_is_refused(text):
    """A comma too many is a mistake, not an item."""
    with pytest.raises(UsageError):
        parse_list(text)


def test_a_symbol_that_is_a_path_is_refused():
    """What is no symbol never becomes a path."""
    with pytest.raises(SymbolError, match="is not a symbol"):
        parse_symbols("BTC-USDT,../../x")


@pytest.mark.parametrize("text", ["kraken", "../x"])
def test_a_venue_we_do_not_speak_to_is_refused(text):
    """Only venues of the table are taken."""
    with pytest.raises(UsageError, match=r"is not a (supported )?venue"):
        parse_venue(text, ["binance"])


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2024-08-08", None, "go together"),
        ("2024-08-09", "2024-08-08", "lies after"),
        ("2015-12-31", "2016-01-01", "HISTORY_START"),
        ("2024-8-8", "2024-08-08", "is not a day"),
    ],
)
def test_a_range_of_days_that_is_none_is_refused(first, last, words):
    """Both days are given, are days, are in order and not before history starts."""
    with pytest.raises(UsageError, match=words):
        parse_days(first, last, earliest="2016-01-01")


def test_days_are_read_from_from_and_to():
    """`--from` and `--to` are `first` and `last`; without them nothing is asked."""
    parser = argparse.ArgumentParser()
    add_days(parser)
    args = parser.parse_args(["--from", "2024-08-08", "--to", "2024-08-08"])
    assert parse_days(args.first, args.last, earliest="2016-01-01") == ("2024-08-08", "2024-08-08")
    assert parse_days(None, None, earliest="2016-01-01") is None
