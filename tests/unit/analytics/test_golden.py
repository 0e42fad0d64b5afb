"""Published values: TA-Lib's regression rows, Stock.Indicators, StockCharts, where the convention is the same."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest

from trading_platform.analytics.notebook import compute


def number(text):
    """A number of the regression file: ``252-15``, ``(-1.9738)-(-2.7071)``, ``-1.9738``."""
    if text.startswith("("):
        left, right = text.strip("()").split(")-(")
        return float(left) - float(right)
    left, minus, right = text.partition("-")
    return float(left) - float(right) if left and minus else float(text)


@pytest.fixture(scope="module")
def talib(shared_data):
    with shared_data("indicators/ta-lib/ta_regtest_expected.csv").open() as file:
        rows = list(csv.reader(file))
    return rows, pd.read_csv(shared_data("indicators/ta-lib/ta_regtest_daily_ref_0.csv"))


def whole(rows, source):
    """Rows of a source over all 252 bars that succeed in the default mode, without extra unstable bars."""
    return [row for row in rows if row[0] == source and "TA_SUCCESS" in row and "TA_COMPATIBILITY_DEFAULT" in row]


def check(values, index, expected, begin, places):
    """The rows cut digits off rather than round them."""
    assert np.isnan(values[:begin]).all()
    assert not np.isnan(values[begin:]).any()
    assert values[begin + index] == pytest.approx(expected, abs=10.0**-places)


def places(text):
    return len(text.partition(".")[2]) or 0


def test_talib_moving_averages(talib):
    """SMA, EMA and WMA equal TA-Lib's values and begin where its begin."""
    rows, bars = talib
    checked = 0
    for row in whole(rows, "test_ma.c"):
        kind = row[8].removeprefix("TA_MAType_").lower()
        if kind not in {"sma", "ema", "wma"} or row[4:7] != ["0", "0", "251"]:
            continue
        values = compute(bars, [f"{kind}_{row[7]}"]).iloc[:, 0].to_numpy()
        # TA-Lib's own test allows 0.01, and its rows of WMA need it: one says 109.3413 where it computes 109.3466.
        digits = min(places(row[12]), 2) if kind == "wma" else places(row[12])
        check(values, int(number(row[11])), float(row[12]), int(number(row[13])), digits)
        checked += 1
    assert checked >= 14


def test_talib_rsi(talib):
    """RSI equals TA-Lib's values."""
    rows, bars = talib
    chosen = [row for row in whole(rows, "test_rsi.c") if row[3:7] == ["TA_RSI_TEST", "0", "0", "251"]]
    assert len(chosen) >= 4
    for row in chosen:
        values = compute(bars, [f"rsi_{row[7]}"]).iloc[:, 0].to_numpy()
        check(values, int(number(row[10])), float(row[11]), int(number(row[12])), places(row[11]))


def test_talib_macd(talib):
    """MACD, signal and histogram equal TA-Lib's values, also with fast and slow exchanged."""
    rows, bars = talib
    chosen = whole(rows, "test_macd.c")
    assert len(chosen) == 3
    for row in chosen:
        frame = compute(bars, [f"macd_{row[6]}_{row[7]}_{row[8]}"])
        begin = int(number(row[11]))
        for column, (index, expected) in zip(frame, [row[13:15], row[15:17], row[17:19]], strict=True):
            check(frame[column].to_numpy(), int(number(index)), number(expected), begin, 3)


def test_talib_bollinger(talib):
    """Bands around the simple mean equal TA-Lib's values."""
    rows, bars = talib
    chosen = [row for row in whole(rows, "test_bbands.c") if row[8] == "TA_MAType_SMA" and row[6] == row[7]]
    assert chosen
    for row in chosen:
        frame = compute(bars, [f"bbands_{row[5]}_{float(row[6]):g}"])
        for column, at in zip(frame, (13, 15, 17), strict=True):
            check(frame[column].to_numpy(), int(number(row[at])), float(row[at + 1]), int(number(row[11])), 4)


def test_talib_atr(talib):
    """ATR over the close is TA-Lib's normalised ATR."""
    rows, bars = talib
    chosen = [row for row in rows if row[0] == "test_per_hlc.c" and row[3:4] == ["TA_NATR_TEST"] and row[6] == "14"]
    assert chosen
    for row in chosen:
        natr = 100 * compute(bars, ["atr_14"])["atr_14"].to_numpy() / bars["close"].to_numpy()
        check(natr, int(number(row[10])), float(row[11]), 14, places(row[11]))


BANDS = ["bbands_20_2_upper", "bbands_20_2_middle", "bbands_20_2_lower"]
LINES = {"conversion": "tenkanSen", "base": "kijunSen", "span_a": "senkouSpanA", "span_b": "senkouSpanB"}
CLOUD = {f"ichimoku_9_26_52_{ours}": theirs for ours, theirs in LINES.items()}
CHANNEL = ["keltner_20_10_2_upper", "keltner_20_10_2_middle", "keltner_20_10_2_lower"]
STOCK_INDICATORS = [
    ("sma_20", {"sma_20": "sma"}, "sma", 0),
    ("ema_20", {"ema_20": "ema"}, "ema", 0),
    ("rsi_14", {"rsi_14": "rsi"}, "rsi", 0),
    ("atr_14", {"atr_14": "atr"}, "atr", 0),
    ("bbands_20_2", dict(zip(BANDS, ["upperBand", "sma", "lowerBand"], strict=True)), "bb", 0),
    ("wma_14", {"wma_14": "wma"}, "wma", 0),
    ("hma_14", {"hma_14": "hma"}, "hma", 0),
    ("kama_10_2_30", {"kama_10_2_30": "kama"}, "kama", 10),
    ("tsi_25_13", {"tsi_25_13": "tsi"}, "tsi", 0),
    ("cmf_20", {"cmf_20": "cmf"}, "cmf", 0),
    ("supertrend_10_3", {"supertrend_10_3": "superTrend"}, "supertrend", 0),
    ("keltner_20_10_2", dict(zip(CHANNEL, ["upperBand", "centerline", "lowerBand"], strict=True)), "keltner", 0),
    ("stochrsi_14_14_1_3", {"stochrsi_14_14_1_3_k": "stochRsi", "stochrsi_14_14_1_3_d": "signal"}, "stoch-rsi", 29),
    ("stoch_14_3_3", {"stoch_14_3_3_k": "k", "stoch_14_3_3_d": "d"}, "stoch", 17),
    ("cci_20", {"cci_20": "cci"}, "cci", 0),
    ("willr_14", {"willr_14": "williamsR"}, "willr", 0),
    ("mfi_14", {"mfi_14": "mfi"}, "mfi", 0),
    ("roc_14", {"roc_14": "roc"}, "roc", 0),
    ("ad", {"ad": "adl"}, "adl", 0),
    ("chaikin_3_10", {"chaikin_3_10": "oscillator"}, "chaikin-osc", 150),
    ("ultimate_7_14_28", {"ultimate_7_14_28": "ultimate"}, "uo", 0),
    ("plus_di_14", {"plus_di_14": "pdi"}, "adx", 300),
    ("minus_di_14", {"minus_di_14": "mdi"}, "adx", 300),
    ("adx_14", {"adx_14": "adx"}, "adx", 400),
    ("vwma_14", {"vwma_14": "vwma"}, "vwma", 0),
    ("alma_9_0p85_6", {"alma_9_0p85_6": "alma"}, "alma", 0),
    ("connorsrsi_3_2_100", {"connorsrsi_3_2_100": "connorsRsi"}, "crsi", 0),
    ("fisher_10", {"fisher_10": "fisher", "fisher_10_trigger": "trigger"}, "fisher", 100),
    ("awesome_5_34", {"awesome_5_34": "oscillator"}, "awesome", 0),
    ("ichimoku_9_26_52", CLOUD, "ichimoku", 77),
    ("vortex_14", {"vortex_14_plus": "pvi", "vortex_14_minus": "nvi"}, "vortex", 0),
    ("linreg_14", {"linreg_14_slope": "slope", "linreg_14_r2": "rSquared"}, "slope", 0),
    ("linreg_10", {"linreg_10": "epma"}, "epma", 0),
    ("ulcer_14", {"ulcer_14": "ui"}, "ulcer", 0),
    ("force_2", {"force_2": "forceIndex"}, "force", 0),
    ("percentb_20_2", {"percentb_20_2": "percentB"}, "bb", 0),
    ("bbwidth_20_2", {"bbwidth_20_2": "width"}, "bb", 0),
    # Its fast EMA is seeded by its own first bars, TA-Lib's beside the slow one's: equal once both have forgotten.
    ("macd_12_26_9", {"macd_12_26_9": "macd", "macd_12_26_9_signal": "signal"}, "macd", 250),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "columns", "file", "skip"), STOCK_INDICATORS, ids=[row[0] for row in STOCK_INDICATORS]
)
def test_stock_indicators(shared_data, name, columns, file, skip):
    """All 502 results of Stock.Indicators are ours, nulls included."""
    quotes = pd.read_csv(shared_data("indicators/stock-indicators/quotes/default.csv"))
    results = json.loads(shared_data(f"indicators/stock-indicators/results/{file}.standard.json").read_text())
    found = compute(quotes, [name])
    for ours, theirs in columns.items():
        expected = np.array([np.nan if row[theirs] is None else row[theirs] for row in results])
        np.testing.assert_allclose(found[ours].to_numpy()[skip:], expected[skip:], rtol=1e-9, atol=1e-9)


def test_stockcharts_bollinger(shared_data):
    """Bands equal StockCharts' worksheet."""
    sheet = pd.read_csv(shared_data("indicators/ta-stockcharts/cs-bbands.csv"))
    found = compute(sheet.rename(columns={"Close": "close"}), ["bbands_20_2"])
    for ours, column in zip(BANDS, ["HighBand", "MiddleBand", "LowBand"], strict=True):
        np.testing.assert_allclose(found[ours], sheet[column], atol=1e-6)


def test_stockcharts_vwap(shared_data):
    """Rolling VWAP equals StockCharts' worksheet, whose typical prices are rounded, where its window is full."""
    sheet = pd.read_csv(shared_data("indicators/ta-stockcharts/cs-vwap.csv"))
    found = compute(sheet.rename(columns=str.lower)[["high", "low", "close", "volume"]], ["vwap_14"])["vwap_14"]
    np.testing.assert_allclose(found[13:], sheet["vwap"][13:], rtol=1e-5)


def test_stockcharts_easeofmovement(shared_data):
    """Ease of movement equals StockCharts' worksheet, which divides volumes by 100,000,000."""
    sheet = pd.read_csv(shared_data("indicators/ta-stockcharts/cs-easeofmovement.csv"))
    found = 1e8 * compute(sheet.rename(columns=str.lower)[["high", "low", "volume"]], ["emv_1", "emv_14"])
    np.testing.assert_allclose(found["emv_1"][1:], sheet["EMV"][1:], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["emv_14"][14:], sheet["SMA_EMV"][14:], rtol=1e-6, atol=1e-6)


def test_stockcharts_price_volume_trend(shared_data):
    """The price volume trend equals StockCharts' worksheet."""
    sheet = pd.read_csv(shared_data("indicators/ta-stockcharts/cs-vpt.csv"))
    found = compute(sheet.rename(columns=str.lower)[["close", "volume"]], ["pvt"])["pvt"]
    np.testing.assert_allclose(found[1:], sheet["unsmoothed vpt"][1:], rtol=1e-9)


def test_stockcharts_vortex(shared_data):
    """Both vortex lines equal StockCharts' worksheet."""
    sheet = pd.read_csv(shared_data("indicators/ta-stockcharts/cs-vortex.csv"))
    found = compute(sheet[["High", "Low", "Close"]].rename(columns=str.lower), ["vortex_14"])
    np.testing.assert_allclose(found["vortex_14_plus"], sheet["+VI14"], rtol=1e-6)
    np.testing.assert_allclose(found["vortex_14_minus"], sheet["-VI14"], rtol=1e-6)
