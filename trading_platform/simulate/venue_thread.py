"""Run a simulated venue in its own thread, for tests and `demo`. The venue itself is venue_server.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

from trading_platform.simulate.venue_server import VenueServer


class VenueThread:
    """Run a venue until `stop`; a context manager.

    Parameters
    ----------
    make : builds the server; called in the thread.

    Attributes
    ----------
    server : the running venue; its counters and logs may be read at any time.
    """

    server: VenueServer

    def __init__(self, make: Callable[[], VenueServer]) -> None:
        self._make = make
        self._ready: Future[None] = Future()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._main, name="simulated venue", daemon=True)
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ws_url(self) -> str:
        """The stream address."""
        return self.server.ws_url

    @property
    def rest_url(self) -> str:
        """The REST address."""
        return self.server.rest_url

    def start(self) -> Self:
        """Return once the venue listens. Raises what kept it from that, such as UsageError for a port in use."""
        self._thread.start()
        self._ready.result()
        return self

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until the whole market was played; tell whether it was."""
        return self._ended.wait(timeout_s)

    def call(self, function: Callable[[], object]) -> None:
        """Run a function in the venue's thread, soon."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Close everything and wait for the thread. Raises what broke the venue, should anything."""
        if self._ready.exception() is None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for it
            if self._ready.done():
                self._broken = error
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.server = self._make()
        async with self.server:
            self._ready.set_result(None)
            telling = asyncio.create_task(self._tell_ended())
            await self.server.run_until(self._stop)
            telling.cancel()

    async def _tell_ended(self) -> None:
        await self.server.ended.wait()
        self._ended.set()
