"""Bring a database's schemas to the revision that this code speaks: each revision proves itself, or is undone.

A revision runs in one transaction with its proofs and its row in the audit log. A false proof rolls it back, leaves the
version, and is on record too.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import sql

from trading_platform.domain.errors import UsageError
from trading_platform.store.database import roles, urls
from trading_platform.store.database.features import features
from trading_platform.store.database.pool import options, trouble_named
from trading_platform.store.database.proofs import Proof, ProofFailed

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script

HEAD = "0001"
"""The revision that this code reads and writes (a test holds it and the folder of revisions together)."""

FOLDER = Path(__file__).parent / "migrations"
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")
"""Session time zones that a rehearsal runs in: the result must not depend on them."""

_LOCK = 7_261_943_002
"""Any number, the same in every process: one migration at a time."""
_LOCK_MS = 10_000


class Step(NamedTuple):
    """One revision that was run.

    Attributes
    ----------
    revision : its number.
    title : what it does.
    proofs : name and result of each of its verification queries.
    """

    revision: str
    title: str
    proofs: tuple[tuple[str, str], ...]


def version(db: psycopg.Connection) -> str | None:
    """Return the revision of a database's schemas, None if there are none yet."""
    if not _exists(db, "schema_version"):
        return None
    row = db.execute("SELECT version_num FROM platform.schema_version").fetchone()
    return None if row is None else str(row[0])


def _exists(db: psycopg.Connection, table: str) -> bool:
    """Tell whether schema `platform` has a table; asked of the catalogue, which needs no right to the schema."""
    query = (
        "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relname = %s"
    )
    return db.execute(query, ["platform", table]).fetchone() == (1,)


def upgrade(url: str, *, timezone: str = "UTC", folder: Path = FOLDER) -> list[Step]:
    """Run the revisions that are missing; none if the database is up to date.

    Parameters
    ----------
    url : libpq's URL.
    timezone : of the session. The result does not depend on it.

    Raises
    ------
    ProofFailed : if a verification query came out false; that revision is undone.
    UsageError : if the server lacks something, or a newer version wrote the database.
    DatabaseUnavailable : if it does not answer.
    """
    steps: list[Step] = []
    with _connected(url, timezone) as connection:
        with connection.begin():
            _prepare(connection)
        while True:
            with connection.begin():
                # Asked anew each time: another process may have done it meanwhile.
                _lock(connection)
                todo = _pending(connection, folder)
                if not todo:
                    return steps
                script, failure = todo[0], None
                try:
                    with connection.begin_nested():
                        step = _run(connection, script, folder)
                except ProofFailed as error:
                    failure = error
                    _record(connection, "migration undone", script.revision, str(error))
                else:
                    _record(connection, "migration", script.revision, "; ".join(f"{n}: {r}" for n, r in step.proofs))
                    steps.append(step)
            if failure is not None:
                raise ProofFailed(f"revision {script.revision} is undone: {failure}")


def rehearse(url: str, *, folder: Path = FOLDER) -> list[Step]:
    """Run the missing revisions and their proofs in each of `ZONES`, and undo everything.

    Raises
    ------
    ProofFailed : if a verification query came out false, or differently in another time zone.
    """
    found: dict[str, list[Step]] = {}
    for zone in ZONES:
        with _connected(url, zone) as connection:
            transaction = connection.begin()
            try:
                _prepare(connection)
                _lock(connection)
                found[zone] = [_run(connection, script, folder) for script in _pending(connection, folder)]
            finally:
                transaction.rollback()
    first = found[ZONES[0]]
    for zone, steps in found.items():
        if steps != first:
            raise ProofFailed(f"the migration's result in time zone {zone} differs from that in {ZONES[0]}")
    return first


@contextmanager
def _connected(url: str, timezone: str) -> Iterator[sa.Connection]:
    """Give a connection with the login's own rights and no limit on a statement's time."""
    given = {"connect_timeout": 5, "options": options(None, query_ms=0, lock_ms=_LOCK_MS, timezone=timezone)}
    engine = sa.create_engine(urls.for_sqlalchemy(url), poolclass=sa.pool.NullPool, connect_args=given)
    try:
        with trouble_named(urls.shown(url)), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _raw(connection: sa.Connection) -> psycopg.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _lock(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _prepare(connection: sa.Connection) -> None:
    """Make what revisions take for granted: the extension, the roles, the schemas and the audit log."""
    _lock(connection)
    db = _raw(connection)
    if _exists(db, "audit_log") and not _exists(db, "sequences"):
        return
    try:
        db.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        roles.make(db)
        _share(db)
    except psycopg.errors.InsufficientPrivilege as error:
        words = str(error).splitlines()[0]
        raise UsageError(
            f"the database's user may not prepare it ({words}); as an administrator: CREATE EXTENSION timescaledb,"
            f" CREATE ROLE {', '.join(roles.ROLES)}, and GRANT them to the user"
        ) from None
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
        raise UsageError("the database's server has no TimescaleDB; `database up` starts one that has") from None
    features(db)
    db.execute(_FIRST)


_FIRST = """
SET LOCAL ROLE tp_owner;
CREATE SCHEMA IF NOT EXISTS market;
CREATE SCHEMA IF NOT EXISTS platform;
CREATE TABLE IF NOT EXISTS platform.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    ledger_key text UNIQUE
);
RESET ROLE;
"""


def _share(db: psycopg.Connection) -> None:
    """Give the roles their places in this database, and nobody else any."""
    row = db.execute("SELECT current_database(), current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    name, user, almighty = row.fetchone() or ("", "", False)
    if not almighty and not _is_member(db):
        roles.admit(db, user)
    names = sql.SQL(", ").join(map(sql.Identifier, roles.ROLES))
    database = sql.Identifier(name)
    db.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    db.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, names))
    db.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(roles.OWNER)))
    # Until now the ledger itself could lie here. It is rebuilt on disk; its old tables stay, under another name.
    if _exists(db, "sequences"):
        db.execute("ALTER SCHEMA platform RENAME TO ledger_until_0001")


def _is_member(db: psycopg.Connection) -> bool:
    found = db.execute("SELECT bool_and(pg_has_role(role, 'MEMBER')) FROM unnest(%s::name[]) AS role", [[*roles.ROLES]])
    return found.fetchone() == (True,)


def _pending(connection: sa.Connection, folder: Path) -> list[Script]:
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError
    from alembic.util.exc import CommandError

    script = ScriptDirectory.from_config(_config(connection, folder))
    connection.execute(sa.text(f"SET LOCAL ROLE {roles.OWNER}"))
    known = version(_raw(connection))
    try:
        return list(reversed(list(script.iterate_revisions("head", known or "base"))))
    except (CommandError, RevisionError):
        raise UsageError(f"the database is at revision {known}, which a newer version of this program wrote") from None


def _config(connection: sa.Connection, folder: Path) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _run(connection: sa.Connection, script: Script, folder: Path) -> Step:
    from alembic import command

    db = _raw(connection)
    proofs: tuple[Proof, ...] = getattr(script.module, "PROOFS", ())
    before = [proof.before(db) for proof in proofs]
    command.upgrade(_config(connection, folder), script.revision)
    found = [(proof.name, str(proof.after(db, old))) for proof, old in zip(proofs, before, strict=True)]
    return Step(script.revision, script.doc, tuple(found))


def _record(connection: sa.Connection, action: str, subject: str, detail: str) -> None:
    actor = "unknown"
    with suppress(OSError, KeyError):  # a user without a name
        actor = getpass.getuser()
    words = {"actor": actor, "action": action, "subject": subject, "detail": detail[:2000]}
    table = sa.table("audit_log", *(sa.column(name) for name in words), schema="platform")
    connection.execute(table.insert(), words)
