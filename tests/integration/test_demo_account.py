"""What `demo` says of its account: ids used up without a trade count, and so does every numbering of a symbol.

It plays any exchange that the simulator can be and that we speak to. Here are those whose ids prove completeness, and
those whose days nothing proves: what REST lists is all that there was.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import run
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.simulate.exchanges import DEFAULT, EXCHANGES
from trading_platform.venues import VENUES

FIRST, COUNT, TURN = 3735683259, 900, 600
VOIDS = {FIRST + 40: {"p": "0.00000000"}, FIRST + 90: {"X": "NA"}, FIRST + 700: {"X": "INSURANCE_FUND"}}


def recording(path: Path) -> Path:
    """Write a capture in which three ids are used up without an order-book trade."""
    lines = []
    for number in range(FIRST, FIRST + COUNT):
        time = 1723161255342 + 70 * (number - FIRST)
        event = {"e": "trade", "E": time, "s": "BTCUSDT", "t": number, "p": "61837.63000000", "q": "0.02000000"}
        event |= {"T": time, "m": True, "M": True} | VOIDS.get(number, {})
        lines.append(f"{time}000000 {json.dumps({'stream': 'btcusdt@trade', 'data': event})}\n")
    path.write_text("".join(lines))
    return path


COUNTED = [
    name
    for name, venue in VENUES.items()
    if name in EXCHANGES and (prove_completeness(venue.sequencing) or venue.archive is None)
]


@pytest.mark.parametrize("venue", [name for name in COUNTED if name != DEFAULT])
def test_another_exchange_is_demonstrated_as_whole(tmp_path: Path, venue: str) -> None:
    """Recorded, recovered, computed and checked against itself: nothing is open, everything issued is held."""
    done = run("demo", "--venue", venue, "--seconds", "4", "--json", data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert told["issued"] == sum(symbol["held"] for symbol in told["symbols"].values()) > 100
    assert told["rows"]["bars"] > 0


def test_void_ids_and_every_numbering_are_part_of_what_holds(tmp_path: Path) -> None:
    """Held and void together are what the venue issued: exit 0, the void named, each numbering shown."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"events": [{"at_id": FIRST + TURN, "kind": "renumber", "first_id": 1}]}))
    words = ["--recording", str(recording(tmp_path / "capture")), "--faults", str(plan), "--speed", "20"]
    done = run("demo", *words, data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "897 of 900 trades held, 3 void, 0 open" in done.stdout
    assert "598 of 600 trades held, 2 void, 0 open" in done.stdout
    assert "299 of 300 trades held, 1 void, 0 open" in done.stdout
    assert "3 of the ids are void: the venue used them up without an order-book trade" in done.stdout
    assert done.stdout.splitlines()[-1].split() == [
        "trading-platform",
        "up",
        "--demo",
        "--data-dir",
        str(tmp_path / "data"),
    ]
