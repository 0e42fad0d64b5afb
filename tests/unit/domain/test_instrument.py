"""Symbols: letters and digits of any script, one spelling for each, and nothing else ever becomes a path."""

from __future__ import annotations

import sys
from unicodedata import category, normalize

import pytest

from trading_platform.domain.errors import SymbolError
from trading_platform.domain.instrument import check_symbol, kind_of, normalise_asset, read_symbol


@pytest.mark.parametrize(
    "symbol",
    "BTC-USDT 1000SATS-USDC BTC-USDT-PERP BTC-USD-211231 NULL-USDT 币安人生-USDT ΕΛΛ-ΕΥΡ БТЦ-РУБ É-USDT Ǆ-USDT ß-USDT "
    "ẞ-USDT ı-USDT İ-USDT 한국-KRW عربي-USDT ٣-USDT 币-安 币安-USDT-PERP".split(),
)
def test_a_canonical_symbol_is_read_as_it_is(symbol: str) -> None:
    """However its letters were composed when it was typed."""
    assert check_symbol(symbol) == read_symbol(symbol) == read_symbol(normalize("NFD", symbol)) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "btc-USDT", "é-USDT", "ǆ-USDT", "ǅ-USDT", "б-USDT",  # no capitals
        "E\u0301X-USDT\u0301", "x\u0302-USDT", "\u0301-USDT",  # marks are no letters
        "BTC", "-USDT", "BTC-", "BTC--USDT", "币安人生", "BTC-USDT-X", "BTC-USD-٢١١٢٣١", "BTC-USD-２１１２３１",
        "币/安-USDT", "币\\安-USDT", "..-..", "币=安-USDT", "币%2F-USDT", "币\0-USDT", "币\n-USDT", "币 安-USDT",
        "币\u200b-USDT", "\u202eBTC-USDT", "\ufeffBTC-USDT", "\ud800-USDT",
        "€-USDT", "½-USDT", "²-USDT", "Ⅷ-USDT", "😀-USDT",
        "A" * 21 + "-USDT", "𐐀" * 20 + "-" + "𐐀" * 20,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """Small letters, marks, signs, what is invisible, and what is too long for a file's name."""
    with pytest.raises(SymbolError) as caught:
        read_symbol(text)
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_what_is_not_composed_is_no_path() -> None:
    """Two spellings of one symbol would be two folders: the composed one is the only one."""
    with pytest.raises(SymbolError):
        check_symbol("E\u0301-USDT")


@pytest.mark.parametrize(
    ("code", "asset"),
    [
        ("xbt", "BTC"), ("XDG", "DOGE"), ("btc", "BTC"), ("币安人生", "币安人生"), ("бтц", "БТЦ"),
        ("ǆ", "Ǆ"), ("ǅ", "Ǆ"), ("Ǆ", "Ǆ"), ("ß", "ß"), ("ẞ", "ẞ"), ("ı", "ı"), ("i", "I"), ("İ", "İ"),
        ("ﬁ", "ﬁ"), ("ŉ", "ŉ"), ("ſ", "ſ"), ("e\u0301", "É"), ("K", "K"), ("Å", "Å"),
    ],
)  # fmt: skip
def test_assets_are_in_capitals_where_these_lead_back(code: str, asset: str) -> None:
    """A letter without a capital of its own (ß would be SS, ı would be I) stays what it is."""
    assert normalise_asset(code) == asset


def test_normalising_is_done_once_and_keeps_letters_apart() -> None:
    """Of every letter that has a case: twice changes nothing, a symbol comes of it, only case folds."""
    found: dict[str, str] = {}
    for letter in map(chr, range(sys.maxunicode + 1)):
        if category(letter) not in {"Lu", "Ll", "Lt"}:
            continue
        asset = normalise_asset(letter)
        assert normalise_asset(asset) == asset, hex(ord(letter))
        assert check_symbol(f"{asset}-USDT")
        folded = normalize("NFC", letter).lower()
        assert found.setdefault(asset, folded) == folded, hex(ord(letter))


def test_the_kind_follows_from_any_script() -> None:
    """As of ASCII symbols."""
    assert [kind_of(f"币安-USDT{suffix}") for suffix in ("", "-PERP", "-211231")] == ["spot", "perpetual", "future"]
