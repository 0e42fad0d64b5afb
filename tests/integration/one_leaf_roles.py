"""Run by test_one_leaf_in_three_roles: who publishes in the running platform, kept alive and told when.

``ROLE ROOT DAY REST_URL [WS_URL]``; says ``ready``, then answers each line on stdin with one of JSON:

    record, stop   (ingest) begin to record; end in order, decode and publish everything
    go             play the role once: ingest decodes, stages and publishes; recovery fetches what is missing and
                   publishes; Dagster runs the asset `ticks` for the day
    unlock         from now on publish without the leaf's lock: the negative control
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.builders.ingest_in_process import SmallIngest
from trading_platform.store.lake import leaf_files as files
from trading_platform.telemetry import logs

Commands = dict[str, Callable[[], object]]


class Recording:
    """Ingest folded into one process: the recorder on a thread, the processor and the publisher when told."""

    def __init__(self, ingest: SmallIngest) -> None:
        self._ingest = ingest
        self._over = threading.Event()
        self._thread = threading.Thread()

    def record(self) -> None:
        self._over.clear()
        # One object a thread: SQLite's connections do not change threads.
        self._thread = threading.Thread(
            target=self._ingest.record, args=(self._over.is_set,), kwargs={"timeout_s": 3600}
        )
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(20)
        self._ingest.process()


def ingest(root: Path, _day: str, rest_url: str, ws_url: str) -> Commands:
    """Return what ingest does."""
    small = SmallIngest(root, ws_url, rest_url)
    small.ledger.mark_kind("simulated")
    recording = Recording(small)
    return {"record": recording.record, "stop": recording.stop, "go": small.process}


def recovery(root: Path, _day: str, rest_url: str) -> Commands:
    """Return what `recover` does."""
    small = SmallIngest(root, "ws://127.0.0.1:1", rest_url)
    return {"go": lambda: not small.recover().problems}


def dagster(root: Path, day: str, _rest_url: str) -> Commands:
    """Return what a Dagster run does."""
    import dagster as dg

    from tests.support.builders.dagster_instance import (
        GatedPipeline,
    )  # before the assets: with it they begin in the past

    from assets.ticks import ticks  # isort: skip

    pipeline = GatedPipeline(data_dir=str(root))
    instance = dg.DagsterInstance.ephemeral()

    def materialize() -> None:
        done = dg.materialize([ticks], partition_key=day, resources={"pipeline": pipeline}, instance=instance)
        assert done.success

    return {"go": materialize}


ROLES: dict[str, Callable[..., Commands]] = {"ingest": ingest, "recovery": recovery, "dagster": dagster}


def unlock() -> None:
    """Let everybody into every leaf."""
    files.locked = lambda *_, **__: nullcontext()  # type: ignore[assignment]


def main(role: str, root: str, *rest: str) -> None:
    logs.configure(level="error", as_json=False)
    commands = {"unlock": unlock, **ROLES[role](Path(root), *rest)}
    print("ready", flush=True)
    for line in sys.stdin:
        told: dict[str, Any] = {"role": role, "began": time.monotonic()}
        try:
            commands[line.strip()]()
        except Exception as error:  # noqa: BLE001  what unlocked publishers stumble over is anything
            told["error"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps({**told, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
