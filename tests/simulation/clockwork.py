"""Virtual time: an event loop that waits for nothing, processes that can be stopped and killed, code that may wait.

Everything of a simulated world runs on one `VirtualLoop`: asyncio tasks of the recorder, callbacks of the venue, and
plain blocking code (the processor, a recovery), which gets a thread of its own that runs only while nothing else does.
Which of them runs when is decided by time and order of scheduling alone.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, cast

S = 10**9
_T = TypeVar("_T")


class Killed(BaseException):
    """The process is dead: nothing that it still tries to do has any effect."""


class Clock:
    """Time as the world and as our machine tell it, all in ns.

    Attributes
    ----------
    now : since the world began.
    suspended : for how long the machine was asleep; its monotonic clock stood still then.
    asleep_since : when it fell asleep, None while it is awake.
    stepped : by how much the machine's wall clock is wrong.
    """

    MONOTONIC_ZERO = 5_000 * S

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.now = 0
        self.suspended = 0
        self.asleep_since: int | None = None
        self.stepped = 0

    def utc(self) -> int:
        """Return the venue's time."""
        return self.start_ns + self.now

    def wall_ns(self) -> int:
        """Return what the machine takes for the time."""
        return self.start_ns + self.now + self.stepped

    def monotonic_ns(self) -> int:
        """Return the clock of waits."""
        awake = self.now if self.asleep_since is None else self.asleep_since
        return self.MONOTONIC_ZERO + awake - self.suspended

    def boot_ns(self) -> int:
        """Return the clock that runs on while the machine sleeps."""
        return self.MONOTONIC_ZERO + self.now

    def monotonic(self) -> float:
        """Return the clock of waits in seconds."""
        return self.monotonic_ns() / S


class Process:
    """Something of ours that runs, may be stopped for a while, and dies.

    Attributes
    ----------
    code : how it ended, None while it runs.
    crash : what it ended with, if that was no error on purpose.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop, self.name = loop, name
        self.paused = False
        self.backlog: deque[asyncio.Handle] = deque()
        self.dead = False
        self.code: int | None = None
        self.crash: BaseException | None = None
        self.fibers: list[Fiber] = []
        self.at_end: list[Callable[[], object]] = []
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the process do something when it gets round to it."""
        self.loop.call_soon(call, *args, context=self.context)

    def after(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        """Have the process do something later, by its own clock."""
        self.loop.call_at(self.loop.time() + seconds, call, *args, context=self.context)

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: what became due meanwhile happens now."""
        self.paused = False
        self.loop.ready.extend(self.backlog)
        self.backlog.clear()

    def kill(self, code: int = -9) -> None:
        """SIGKILL; what the system frees for the dead is freed."""
        if self.dead:
            return
        self.dead, self.code = True, code if self.code is None else self.code
        self.backlog.clear()
        for fiber in self.fibers:
            fiber.unwind()
        for call in self.at_end:
            call()

    def end(self, code: int, crash: BaseException | None = None) -> None:
        """Take note that it has ended by itself."""
        if self.code is None:
            self.code, self.crash = code, crash
        self.kill(code)


OWNER: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)


class Fiber:
    """Blocking code on a thread of its own, which runs only while whoever resumed it waits for it."""

    def __init__(self, process: Process, work: Callable[[], object]) -> None:
        self._process, self._work = process, work
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self.done = False
        self._running = False
        self._context = process.context.copy()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        process.fibers.append(self)
        process.soon(self.resume)

    def _main(self) -> None:
        self._go.acquire()
        try:
            if not self._process.dead:
                self._context.run(self._run)
        finally:
            self.done = True
            self._back.release()

    def _run(self) -> None:
        CURRENT.set(self)
        try:
            self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  a crash of simulated code is for the judge, not for its thread
            if not self._process.dead:
                self._process.crash = error
                self._process.code = 70

    def resume(self) -> None:
        """Let it run until it waits or ends."""
        if self.done:
            return
        self._running = True
        self._go.release()
        self._back.acquire()
        self._running = False

    def unwind(self) -> None:
        """Let a dead process's code run out; what it tries on the way has no effect."""
        while not self.done and not self._running:
            self.resume()

    def sleep(self, seconds: float) -> None:
        """Wait, called by its own code."""
        loop = self._process.loop
        loop.call_at(loop.time() + max(_LEAST_SLEEP_S, seconds), self.resume, context=self._process.context)
        self.park()

    def park(self) -> None:
        """Wait until somebody resumes it."""
        self._back.release()
        self._go.acquire()
        if self._process.dead:
            raise Killed


CURRENT: contextvars.ContextVar[Fiber | None] = contextvars.ContextVar("current", default=None)


def sleep(seconds: float) -> None:
    """Wait in virtual time, from blocking code of a simulated process."""
    fiber = CURRENT.get()
    assert fiber is not None
    fiber.sleep(seconds)


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop on a `Clock`: when nothing is left to do now, it is the time of what is due next.

    `time` is the machine's monotonic clock, so waits of our processes stand still while the machine sleeps; `after` is
    for the rest of the world.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, int | None, asyncio.Handle]] = []
        self._order = 0
        self._afterlife = False
        # Tasks of dead processes are kept, so that no collector runs their ends at a time of its own.
        self.tasks: list[asyncio.Task[Any]] = []
        self.executor_latency: Callable[[], float] = lambda: 0.0
        self.errors: list[BaseException] = []

    # ---- running

    def run(self, until_ns: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Let the world go on up to this time or until `done`; return whether it is."""
        asyncio._set_running_loop(self)
        try:
            while True:
                turns = 0
                while self.ready:
                    self._do(self.ready.popleft())
                    turns += 1
                    if turns > _MOST_TURNS:
                        raise RuntimeError(f"time stands still at {self.clock.now / S} s")
                if done():
                    return True
                if not self._timers or self._timers[0][0] > until_ns:
                    self.clock.now = max(self.clock.now, until_ns)
                    return done()
                due, _, monotonic_due, handle = heapq.heappop(self._timers)
                self.clock.now = max(self.clock.now, due)
                if handle.cancelled():
                    continue
                if monotonic_due is not None and monotonic_due > (late := self.clock.monotonic_ns()):
                    self._push(due + monotonic_due - late, monotonic_due, handle)
                    continue
                self.ready.append(handle)
        finally:
            asyncio._set_running_loop(None)

    def _do(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        context = cast("contextvars.Context", handle._context)  # type: ignore[attr-defined]
        owner = context.get(OWNER)
        if owner is not None and not self._afterlife:
            if owner.dead:
                return
            if owner.paused:
                owner.backlog.append(handle)
                return
        try:
            context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  a crash of simulated code is for the judge
            self.errors.append(error)

    def _push(self, due: int, monotonic_due: int | None, handle: asyncio.Handle) -> None:
        self._order += 1
        heapq.heappush(self._timers, (due, self._order, monotonic_due, handle))

    def after(self, delay_ns: int, call: Callable[..., object], *args: Any) -> None:
        """Have the world do something later."""
        self._push(self.clock.now + delay_ns, None, asyncio.Handle(call, args, self, _WORLD))

    def deliver(self, due_ns: int, process: Process, call: Callable[..., object], *args: Any) -> None:
        """Have something reach a process at an instant; while it is stopped, it waits in the system's buffers."""
        self._push(due_ns, None, asyncio.Handle(call, args, self, process.context))

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        return self.clock.monotonic_ns() / S

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        monotonic_due = max(round(when * S), self.clock.monotonic_ns())
        self._push(self.clock.now + monotonic_due - self.clock.monotonic_ns(), monotonic_due, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None, **_: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Do it after as long as the disk takes; meanwhile its process may be stopped or killed."""
        future: asyncio.Future[_T] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001  whoever awaits it gets it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self.executor_latency(), work)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(error if isinstance(error, BaseException) else RuntimeError(str(context.get("message"))))

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def spawn(self, process: Process, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Start a coroutine as a process's own."""
        return self.create_task(work, context=process.context.copy())

    def discard(self) -> None:
        """Let what is left run out, the dead's tasks too: nothing that they do has any effect."""
        self._afterlife = True
        for _ in range(_LONGEST_AFTERLIFE):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.run(self.clock.now + 2 * S)
        self.tasks.clear()
        self.ready.clear()
        self._timers.clear()
        self.errors.clear()


_LONGEST_AFTERLIFE = 20
_MOST_TURNS = 100_000
_LEAST_SLEEP_S = 1e-6
"""A real clock moves on even if nobody waits; this one must be made to, or a wait for a rounding error never ends."""
_WORLD = contextvars.Context()
