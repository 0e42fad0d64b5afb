"""Worksheets of Achelis, Technical Analysis from A to Z, in the form that Tulip Indicators keeps them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trading_platform.analytics.notebook import compute

HLC, HLCV = ["high", "low", "close"], ["high", "low", "close", "volume"]
SHEETS = [
    # sheet, our names, its columns
    ("ad", ["ad"], HLCV),
    ("adosc 3 10", ["chaikin_3_10"], HLCV),
    ("aroon 5", ["aroon_5_down", "aroon_5_up"], ["high", "low"]),
    ("bbands 5 2", ["bbands_5_2_lower", "bbands_5_2_middle", "bbands_5_2_upper"], ["close"]),
    ("cci 5", ["cci_5"], HLC),
    ("nvi", ["nvi"], ["close", "volume"]),
    ("mfi 14", ["mfi_14"], HLCV),
    ("sma 5", ["sma_5"], ["close"]),
    ("stoch 5 3 3", ["stoch_5_3_3_k", "stoch_5_3_3_d"], HLC),
    ("ultosc 7 14 28", ["ultimate_7_14_28"], HLC),
    ("willr 5", ["willr_5"], HLC),
    ("wma 5", ["wma_5"], ["close"]),
]


@pytest.fixture(scope="module")
def sheets(shared_data):
    found, name = {}, ""
    for line in shared_data("indicators/tulip/atoz.txt").read_text().splitlines():
        text = line.strip()
        if text.startswith("{"):
            found[name].append([float(x) for x in text.strip("{}").split(",")])
        elif text and not text.startswith("#"):
            name = text
            found[name] = []
    return found


@pytest.mark.parametrize(("sheet", "names", "columns"), SHEETS, ids=lambda v: str(v)[:20])
def test_worksheet(sheets, sheet, names, columns):
    """The last values are the worksheet's, at the digits it gives."""
    rows = sheets[sheet]
    bars = pd.DataFrame(dict(zip(columns, rows, strict=False)))
    frame = compute(bars, names)
    for name, expected in zip(names, rows[len(columns) :], strict=True):
        values = frame[name].to_numpy()
        values = values[~np.isnan(values)]
        shown = min(len(values), len(expected))
        assert shown > 3
        np.testing.assert_allclose(values[-shown:], expected[-shown:], rtol=2e-3, atol=2e-3)
