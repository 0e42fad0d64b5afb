"""The one tree of errors. Raise where the fact is seen, with facts; handle where someone can act.

PlatformError
├── UsageError            arguments, settings or input are wrong: one line, exit 2 (also a ValueError)
│   ├── SettingsError     a setting is unknown or has an impossible value
│   ├── SymbolError       not a symbol, or not one the venue lists
│   ├── RecordingError    a recording is truncated, not gzip, or of an unknown form
│   ├── MarketMismatch    simulated data of another market than the one that is to continue it
│   ├── LockHeld          another live process does this already (names its pid)
│   └── QueryError        SQL that is wrong, writes, or leaves the lake
└── WorkError             the work itself failed: exit 1
    ├── FrameError        bytes from a venue that do not decode
    ├── CorruptionError   stored bytes that fail their checksum
    ├── StorageError      the disk refused: fsync, space, permission
    │   ├── DiskFull      no space, inodes or quota, or read-only: worth another try later
    │   ├── LedgerUnavailable   its database does not answer: worth another try later
    │   └── DatabaseUnavailable   the TimescaleDB does not answer, or not in time: worth another try later
    └── VenueError        a venue refused or failed
        ├── RateLimited   asked too often: wait at least `retry_after_s`
        ├── Banned        for a time: nothing is asked before the ban is over
        └── VenueUnavailable   5xx, time-out, no connection
"""

from __future__ import annotations


def shown(value: object, most: int = 40) -> str:
    """Return a value as the short, quoted, single line that stands in an error's sentence, whatever it is.

    >>> shown("BTC/USDT"), shown(10**6000)
    ("'BTC/USDT'", "'a value of type int'")
    """
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001  objects of other libraries may refuse to be shown
        text = f"a value of type {type(value).__name__}"
    return ascii(text[:most]) if not text.isprintable() else repr(text[:most])


class PlatformError(Exception):
    """Base of every error the platform raises on purpose."""


class UsageError(PlatformError, ValueError):
    """Arguments, settings or input are wrong; the message is one line that says what to change."""


class SettingsError(UsageError):
    """A setting is unknown or impossible."""


class SymbolError(UsageError):
    """A text that is no symbol, or a symbol the venue does not list."""


class RecordingError(UsageError):
    """A recording that cannot be played."""


class MarketMismatch(UsageError):
    """A data directory of one simulated market, and trades of another."""


LOCKED = "is in use by"
"""How the message of a LockHeld is told among others, in the log of another process."""


class LockHeld(UsageError):
    """Another live process holds the lock.

    Parameters
    ----------
    what : what the lock protects, in words.
    holder_pid : the process that holds it, None if unknown.
    """

    def __init__(self, what: str, holder_pid: int | None) -> None:
        self.what = what
        self.holder_pid = holder_pid
        holder = "another process" if holder_pid is None else f"process {holder_pid}"
        super().__init__(f"{what} {LOCKED} {holder}; stop it first")


class QueryError(UsageError):
    """SQL that is wrong, writes, or reaches outside the lake."""


class WorkError(PlatformError):
    """The work itself failed."""


class FrameError(WorkError):
    """Bytes from a venue that do not decode; `kind` is a short machine name of the reason."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}")


class CorruptionError(WorkError):
    """Stored bytes that fail their checksum."""


class StorageError(WorkError):
    """The disk refused; the file that was being written counts as lost."""


class DiskFull(StorageError):
    """The disk takes no more: space, inodes, quota, file size, or it is read-only. Nothing durable is lost."""


class LedgerUnavailable(StorageError):
    """The ledger's database does not answer, or is locked for too long. What was to be written is written later."""


class DatabaseUnavailable(StorageError):
    """The TimescaleDB does not answer in time, or another session is in the way. Worth another try later."""


class VenueError(WorkError):
    """A venue refused or failed."""


class RequestRefused(VenueError):
    """The venue will not answer this request, however often it is asked: wrong, unknown or gone in its eyes."""


class RateLimited(VenueError):
    """We asked too often. Nothing may be asked for `retry_after_s` seconds (None: the venue named no time)."""

    def __init__(self, venue: str, retry_after_s: float | None) -> None:
        self.venue = venue
        self.retry_after_s = retry_after_s
        super().__init__(f"{venue}: rate limited, retry after {retry_after_s} s")


class Banned(VenueError):
    """The venue banned us. Nothing may be asked for `retry_after_s` seconds, restarts included."""

    def __init__(self, venue: str, retry_after_s: float | None) -> None:
        self.venue = venue
        self.retry_after_s = retry_after_s
        super().__init__(f"{venue}: banned, retry after {retry_after_s} s")


class VenueUnavailable(VenueError):
    """5xx, a time-out, a refused connection: worth another try later."""
