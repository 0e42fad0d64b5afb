"""Document the indicators: the rows of `tp.indicator_table`, and the generated page docs/indicators.md.

``python -m trading_platform.analytics.reference > docs/indicators.md`` writes the page; a test compares it. The
pictures in it are pictures.py.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.analytics.own_indicators import known

_HEAD = """# Indicators

Generated from the table in `trading_platform/analytics/indicators/`; do not edit.

`tp.compute(bars, ["rsi_14", "ema_9__rsi_14"])` computes them on a frame, `tp.stream([...])` bar by bar, with the same
bits. A name alone gives all outputs of the indicator, with an output appended just that one; `__` is "of", `p` a
decimal point (`bbands_20_2p5`). An indicator of one input can be taken of another one, or of a column
(`sma_20__volume`). Outputs have no value for exactly the lookback: null, in pandas NaN. A row with a missing input
does not step. What trades tell that bars do not (footprint, volume profile, signs) is `tp.order_flow` and
`tp.footprint`. The pictures are of made-up hourly bars: grey is the close, and the outputs are blue, orange, green and
violet, in their order.
"""


def table_rows() -> list[dict[str, Any]]:
    """Return one row per indicator, the user's own too, spelled with its default parameters, as plain values."""
    return [_row(indicator) for indicator in known().values()]


def _row(indicator: Indicator) -> dict[str, Any]:
    defaults = tuple(p.default for p in indicator.parameters)
    bounds = [f"{p.name} {p.default} ({p.low} to {p.high})" for p in indicator.parameters]
    return {
        "name": indicator.spelled(),
        "title": indicator.title,
        "parameters": ", ".join(bounds),
        "inputs": ", ".join(indicator.inputs),
        "outputs": ", ".join(indicator.spelled(output=output) for output in indicator.outputs),
        "lookback": indicator.lookback(*defaults),
        "source": indicator.source,
    }


def reference_markdown() -> str:
    """Return the page docs/indicators.md."""
    parts = [_HEAD, "| name | parameters (bounds) | inputs | lookback | source |", "|---|---|---|---|---|"]
    rows = [_row(indicator) for indicator in INDICATORS.values()]
    parts += [
        f"| `{row['name']}` | {row['parameters'] or 'none'} | {row['inputs']} | {row['lookback']} | {row['source']} |"
        for row in rows
    ]
    for row, (name, indicator) in zip(rows, INDICATORS.items(), strict=True):
        words = inspect.cleandoc(sys.modules[indicator.step.__module__].__doc__ or "")
        outputs = ", ".join(f"`{name}`" for name in row["outputs"].split(", "))
        image = f"![{indicator.title}](indicators/{name}.svg)"
        parts += ["", f"## {indicator.title}: `{row['name']}`", "", image, "", f"Outputs: {outputs}.", "", words]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
