"""TA-Lib's own regression values of everything but moving averages: its rows, our columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.analytics.test_golden import check, number, places
from trading_platform.analytics.notebook import compute


@pytest.fixture(scope="module")
def talib(shared_data):
    lines = shared_data("indicators/ta-lib/ta_regtest_expected.csv").read_text().splitlines()
    return lines, pd.read_csv(shared_data("indicators/ta-lib/ta_regtest_daily_ref_0.csv"))


def rows(lines, function, parameters):
    """What follows TA_SUCCESS in the rows of a function over all 252 bars."""
    begin = f",0,251,{parameters},TA_SUCCESS,"
    found = [line.partition(begin)[2].split(",") for line in lines if f",{function}," in line and begin in line]
    # A second set of rows of the same function is of a mode that rounds, or of Metastock's seeds.
    return list({row[0]: row for row in reversed(found)}.values())


def digits(text):
    """At most two places: TA-Lib's own test allows 0.01, and some rows need it (24.0128 where it computes 24.0122)."""
    return min(places(text.rpartition("-")[2]), 2)


ONE = [
    ("natr_14", "TA_NATR_TEST", "14,0,0"),
    ("ultimate_7_14_28", "TA_ULTOSC_TEST", "7,14,28"),
    ("willr_14", "TA_WILLR_TEST", "14,0,0"),
    ("cci_5", "TA_CCI_TEST", "5,0,0"),
    ("cci_11", "TA_CCI_TEST", "11,0,0"),
    ("mom_14", "TA_MOM_TEST", "14"),
    ("roc_14", "TA_ROC_TEST", "14"),
    ("trix_5", "TA_TRIX_TEST", "5"),
    ("plus_di_14", "TST_PLUS_DI", "14"),
    ("minus_di_14", "TST_MINUS_DI", "14"),
    ("adx_14", "TST_ADX", "14"),
    ("aroon_14_up", "TA_AROON_UP_TEST", "14"),
    ("aroon_14_down", "TA_AROON_DOWN_TEST", "14"),
    ("mfi_14", "TA_MFI_TEST", "14"),
    ("mfi_49", "TA_MFI_TEST", "49"),
    ("ad", "TA_AD_TEST", "-1"),
    ("chaikin_3_10", "TA_ADOSC_3_10_TEST", "-1"),
    ("chaikin_5_2", "TA_ADOSC_5_2_TEST", "-1"),
]


@pytest.mark.parametrize(("name", "function", "parameters"), ONE, ids=[row[0] for row in ONE])
def test_one_output(talib, name, function, parameters):
    """Values and their begin are TA-Lib's."""
    lines, bars = talib
    found = rows(lines, function, parameters)
    assert found
    values = compute(bars, [name])[name].to_numpy()
    for index, value, begin, *_ in found:
        check(values, int(number(index)), number(value), int(number(begin)), digits(value))


STOCHASTICS = [
    ("stoch_5_3_3", "TEST_STOCH", "5,3,TA_MAType_SMA,3,TA_MAType_SMA"),
    ("stoch_5_3_4", "TEST_STOCH", "5,3,TA_MAType_SMA,4,TA_MAType_SMA"),
    ("stochrsi_14_14_1_1", "TEST_STOCHRSI", "14,14,-1,1,TA_MAType_SMA"),
    ("stochrsi_11_13_1_16", "TEST_STOCHRSI", "11,13,-1,16,TA_MAType_SMA"),
]


@pytest.mark.parametrize(("name", "function", "parameters"), STOCHASTICS, ids=[row[0] for row in STOCHASTICS])
def test_stochastics(talib, name, function, parameters):
    """Both lines are TA-Lib's, of price and of RSI."""
    lines, bars = talib
    begin = f",0,251,{parameters},TA_SUCCESS,"
    found = [line.partition(begin)[2].split(",") for line in lines if f",{function}," in line and begin in line][:2]
    assert found
    frame = compute(bars, [name])
    for begin, _, *cells in found:
        for output, (index, value) in zip(("k", "d"), (cells[:2], cells[2:4]), strict=True):
            values = frame[f"{name}_{output}"].to_numpy()
            check(values, int(number(index)), float(value), int(number(begin)), digits(value))


def made_bars(count=160):
    """The bars of tests/data/golden/talib.csv: whole cents from a linear congruence, the same on every machine."""
    seed, close, found = 12345, 60_000_00, []
    for _ in range(count):
        draws = []
        for _ in range(5):
            seed = (1_103_515_245 * seed + 12_345) % 2**31
            draws.append(seed // 65_536)
        opened = close + draws[0] % 201 - 100
        close += draws[1] % 4_001 - 2_000
        high, low = max(opened, close) + draws[2] % 900, min(opened, close) - draws[3] % 900
        found.append((opened / 100, high / 100, low / 100, close / 100, (1 + draws[4] % 5_000) / 8))
    return pd.DataFrame(found, columns=["open", "high", "low", "close", "volume"])


def made_by_talib():
    """Rows that TA-Lib 0.8.2 itself computed of `made_bars`, in full digits."""
    frame = pd.read_csv(Path(__file__).parents[2] / "data" / "golden" / "talib.csv")
    return dict(list(frame.groupby("output", sort=False)))


MADE = made_by_talib()


@pytest.mark.parametrize("name", MADE)
def test_what_talib_computes(name):
    """Every output that TA-Lib has too equals its, and begins where its begins."""
    values = compute(made_bars(), [name])[name].to_numpy()
    rows = MADE[name]
    (lookback,) = rows["lookback"].unique()
    assert np.isnan(values).tolist() == [i < lookback for i in range(len(values))]
    np.testing.assert_allclose(values[rows["row"]], rows["value"], rtol=1e-10, atol=1e-9)


def test_a_resting_price_has_no_stochastic_of_its_rsi():
    """Where the price rests, RSI moves by its rounding alone, and its stochastic is 0 as TA-Lib's is."""
    close = [100 + (k * 7919 % 13) / 4 for k in range(60)] + [101.5] * 60
    found = compute(pd.DataFrame({"close": close}), ["rsi_14", "stochrsi_14_14_1_3"])
    assert len(set(found["rsi_14"][80:])) > 1
    assert (found["stochrsi_14_14_1_3_k"][80:] == 0).all()
    assert (found["stochrsi_14_14_1_3_d"][83:] == 0).all()
