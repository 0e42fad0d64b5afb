"""When the publisher publishes, and when it lets the log be kept."""

from __future__ import annotations

from pathlib import Path

from tests.support.builders.platform_in_process import SmallPlatform
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.publisher import EVERY_S, publish_until


def test_the_log_is_kept_after_each_publish_but_the_last(tmp_path: Path) -> None:
    """Sealing comes behind publishing and never delays the end; the last publish takes what came meanwhile."""
    platform = SmallPlatform(tmp_path)
    platform.start()
    events: list[object] = []
    ids = iter(range(100, 200))

    def wait(seconds: float) -> bool:
        events.append(seconds)
        platform.record([next(ids)])
        platform.process()
        return len(events) > 4

    publish_until(
        platform.data,
        platform.ledger,
        pass_all,
        monotonic=lambda: 0.0,
        wait=wait,
        afterwards=lambda: events.append(len(platform.held())),
    )
    assert events == [EVERY_S, 1, EVERY_S, 2, EVERY_S]
    assert platform.held() == platform.acknowledged
    platform.stop()
    platform.close()
