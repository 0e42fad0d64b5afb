"""Wrong input is told in one clear line with exit code 2, and damages nothing.

The commands run in this process: that a process passes code and line on is tests/unit/test_cli.py.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import Ingest
from tests.support.builders.venue_thread import RECORDINGS, Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform import cli

Refused = Callable[..., None]
PLAYED = ("simulate", "--venue", "binance")


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Run a command that must refuse: exit 2 with one line that holds these words."""

    def refuse(arguments: Sequence[str], *words: str, data_dir: Path = tmp_path / "data") -> None:
        code = cli.main([*arguments, "--data-dir", str(data_dir)])
        out, err = capfd.readouterr()
        assert (code, out) == (2, ""), err
        # Recording does not wait for a venue's listing: what it logs until the listing comes is JSON.
        (line,) = [text for text in err.splitlines() if not text.startswith("{")]
        for word in words:
            assert word in line, line

    return refuse


def test_recordings_that_cannot_be_played(tmp_path: Path, shared_data: Callable[[str], Path], refused: Refused) -> None:
    """Truncated, not gzip, of an unknown form, not there: each names the file and what is wrong with it."""
    whole = shared_data(RECORDINGS[0]).read_bytes()
    files = {
        "truncated.gz": whole[: len(whole) // 2],
        "plain.gz": b"this is no gzip file\n",
        "unknown.gz": gzip.compress(b"time,price,size\n1,2,3\n"),
        "unknown.txt": b"time,price,size\n1,2,3\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        refused([*PLAYED, "--recording", str(tmp_path / name)], name)
    refused([*PLAYED, "--recording", str(tmp_path / "absent.gz")], "absent.gz")


def test_a_fault_plan_with_an_unknown_key(tmp_path: Path, refused: Refused) -> None:
    """The key is named."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"drops": 0.1}))
    refused([*PLAYED, "--faults", str(plan)], "drops")
    plan.write_text(json.dumps({"drop": 1.5}))
    refused([*PLAYED, "--faults", str(plan)], "drop")
    plan.write_text("{")
    refused([*PLAYED, "--faults", str(plan)], "plan.json")


def test_a_port_in_use(refused: Refused) -> None:
    """The port is named."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused([*PLAYED, "--port", str(port)], str(port))


def test_a_second_ingest_names_the_first(
    simulator: Callable[..., Simulator],  # noqa: F811
    tmp_path: Path,
    refused: Refused,
) -> None:
    """The lock of the venue is held; the pid of its holder is told, and the first goes on."""
    venue = simulator(synthetic(600), speed=1.0)
    first = Ingest(venue, tmp_path / "data", ["BTC-USDT"])
    first.wait_for("publisher")
    urls = ["--ws-url", venue.ws_url, "--rest-url", venue.rest_url]
    refused(["ingest", "--venue", "binance", "--symbols", "BTC-USDT", *urls], str(first.process.pid))
    assert first.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest", "--venue", "binance", "--symbols", "../../x"], ["../../x"]),
        (["ingest", "--venue", "nowhere", "--symbols", "BTC-USDT"], ["nowhere"]),
        (["ingest", "--venue", "binance", "--symbols", "BTC-USDT", "--ws-url", "http://x"], ["http://x"]),
        (["ingest", "--venue", "binance"], ["--symbols"]),
        (["status"], ["nothing is recorded"]),
        (["recover", "--once"], ["nothing is recorded"]),
        (["backfill", "--assets", "bars", "--from", "yesterday", "--to", "2024-08-09"], ["yesterday"]),
        (
            ["backfill", "--assets", "bars", "--from", "2015-01-01", "--to", "2024-08-09"],
            ["2015-01-01", "HISTORY_START"],
        ),
        (["backfill", "--assets", "barz", "--from", "2024-08-08", "--to", "2024-08-09"], ["barz"]),
        (["replay", "--from", "2024-08-08"], ["--to"]),
        (["demo", "--seconds", "-1"], ["--seconds"]),
        (["demo", "--speed", "fast"], ["fast"]),
        (["nonsense"], ["nonsense"]),
    ],
)
def test_wrong_arguments(arguments: list[str], words: list[str], tmp_path: Path, refused: Refused) -> None:
    """Each names what is wrong, and no data directory appears."""
    refused(arguments, *words)
    assert not (tmp_path / "data" / "log").exists()


def test_an_unlisted_symbol(simulator: Callable[..., Simulator], refused: Refused) -> None:  # noqa: F811
    """A well-formed symbol that the venue does not list is refused before anything is recorded."""
    venue = simulator(synthetic(60), speed=1.0)
    urls = ["--ws-url", venue.ws_url, "--rest-url", venue.rest_url]
    refused(["ingest", "--venue", "binance", "--symbols", "FOO-USDT", *urls], "FOO-USDT")


def test_demo_refuses_a_folder_that_holds_something(tmp_path: Path, refused: Refused) -> None:
    """Somebody's files are not emptied away."""
    (tmp_path / "precious").write_text("thesis")
    refused(["demo"], "not empty", data_dir=tmp_path)
    assert (tmp_path / "precious").read_text() == "thesis"
