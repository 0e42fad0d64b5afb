"""The named checks of each dataset: what Dagster shows of its gate, one row a check, with who must act.

Which rule belongs to which check stands beside the rule (schemas/); a test holds both together. The checks of
statistics are expectations/families.py, those of stored files verification.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Tier = Literal["page", "ticket", "dashboard"]
"""Who must act: somebody at once; somebody within hours; nobody, it is there to be seen."""

SCHEMA = "schema"
"""What is no single rule's: columns and types, a file that cannot be read, an input that was refused."""


class NamedCheck(NamedTuple):
    """What must hold, in words, and who must act where it does not."""

    holds: str
    tier: Tier = "page"


_INTERVALS = NamedCheck("Intervals have one width, lie on the UTC grid of one day, rise, and none is there twice.")
_SCHEMA = NamedCheck(
    "Each file can be read, has its columns and types, and what it is computed from was not refused. A refused file is "
    "not published: the last good one stays, and what is computed from it skips exactly that symbol's day."
)

CHECKS: dict[str, dict[str, NamedCheck]] = {
    "ticks": {
        SCHEMA: _SCHEMA,
        "ids_rise": NamedCheck("Trades are in the order of their ids, each once, and have either an id or a text."),
        "times": NamedCheck("All trades happened on the file's day, and each says when it was received."),
        "values": NamedCheck("Prices and quantities are positive and finite; side and source are known words."),
    },
    "bars": {
        SCHEMA: _SCHEMA,
        "intervals": _INTERVALS,
        "prices": NamedCheck("Prices are positive and finite, and absent exactly where no trade is held."),
        "ohlc": NamedCheck("Low is the least and high the greatest price."),
        "vwap": NamedCheck("The volume-weighted price lies between low and high."),
        "volumes": NamedCheck(
            "Counts and volumes are finite, not negative, and positive exactly where trades are held."
        ),
        "taker": NamedCheck("What takers bought is part of the volume, known in both currencies or in neither."),
        "complete_proved": NamedCheck("A bar that is complete holds a trade, and says what proves it."),
    },
    "indicators": {
        SCHEMA: _SCHEMA,
        "intervals": _INTERVALS,
        "values": NamedCheck("Each output is a finite number, or absent."),
        "ranges": NamedCheck("Outputs lie within what their formula can give, an RSI between 0 and 100."),
    },
    "regimes": {
        SCHEMA: _SCHEMA,
        "intervals": _INTERVALS,
        "probabilities": NamedCheck("Probabilities lie between 0 and 1, add up to 1, and are known where a state is."),
        "states": NamedCheck("States are those of the model, have a label, and name the model that gave them."),
    },
    "instruments": {
        SCHEMA: _SCHEMA,
        "symbols": NamedCheck("Each symbol is listed once, spelled canonically, of a known kind.", "ticket"),
        "steps": NamedCheck("Steps of price and quantity are positive decimals, or unknown.", "ticket"),
    },
}
"""Dataset to its checks by name."""


def check_of(dataset: str, rule: str) -> str:
    """Return the check under which a broken rule is shown.

    >>> check_of("bars", "low is the least price"), check_of("bars", "columns")
    ('ohlc', 'schema')
    """
    from importlib import import_module

    return import_module(f"quality.schemas.{dataset}").DATASET.check_of(rule) or SCHEMA
