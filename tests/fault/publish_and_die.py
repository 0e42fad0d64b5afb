"""Run by test_publish_stops: for each step, publish a copy of a data directory in a child that dies after that step."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.builders.fakes import DAY
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger


def main(prepared: Path, root: Path) -> None:
    """Die at each step in turn."""
    for step in lake.STEPS:
        data = DataDir(shutil.copytree(prepared, root / step))
        child = os.fork()
        if child == 0:
            die_at(data, step)
            os._exit(3)
        _, status = os.waitpid(child, 0)
        print(step, os.waitstatus_to_exitcode(status), flush=True)


def die_at(data: DataDir, step: str) -> None:
    """Publish, with a kill -9 after `step`."""

    def kill(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    leaf = Leaf("ticks", "binance", "BTC-USDT", DAY)
    lake.publish(data, leaf, ledger=Ledger.open(data), gate=pass_all, step=kill)


main(Path(sys.argv[1]), Path(sys.argv[2]))
