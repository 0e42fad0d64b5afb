"""A processor that cannot begin leaves its lane free for the next one, in the same process too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lanes import open_lane
from trading_platform.domain.errors import StorageError
from trading_platform.ingest.bounds import Bounds
from trading_platform.ingest.processor import Processor
from trading_platform.store.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.venues import VENUES

BOUNDS = Bounds.of("2016-01-01")


def test_a_processor_that_cannot_begin_frees_its_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger does not answer just then: a prober that lives on would find its own lane taken for ever."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    open_lane(data.lane("fetch-0")).close()

    def unanswered(lane: str) -> None:
        raise StorageError("the ledger does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "lane", unanswered)
        with pytest.raises(StorageError):
            Processor(data, "fetch-0", ledger, VENUES, BOUNDS)
    Processor(data, "fetch-0", ledger, VENUES, BOUNDS).close()
    ledger.close()
