"""The database's roles: `tp_owner` makes tables, `tp_writer` fills them, `tp_reader` reads. None of them can log in.

Whoever logs in reads by itself, and takes another role for what it does (``SET ROLE``). Which rights they have on
what is part of each migration.
"""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql
from psycopg.abc import QueryNoTemplate as Query

OWNER, WRITER, READER = "tp_owner", "tp_writer", "tp_reader"
ROLES = (OWNER, WRITER, READER)
_INHERITS_SINCE = 160_000  # before, a member inherits all or nothing


def missing(db: psycopg.Connection) -> list[str]:
    """Return the roles that the server does not have."""
    known = {name for (name,) in db.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])}
    return [role for role in ROLES if role not in known]


def make(db: psycopg.Connection) -> None:
    """Make the roles that are missing. Needs the right to make roles."""
    for role in missing(db):
        _unless_there(db, sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


def admit(db: psycopg.Connection, user: str) -> None:
    """Let a user read by itself, and take the roles of owner and writer."""
    chosen = db.info.server_version >= _INHERITS_SINCE
    for role in ROLES:
        how = sql.SQL("WITH INHERIT {}, SET TRUE").format(sql.SQL(str(role == READER))) if chosen else sql.SQL("")
        db.execute(sql.SQL("GRANT {} TO {} {}").format(sql.Identifier(role), sql.Identifier(user), how))


def make_login(db: psycopg.Connection, user: str, password: str) -> None:
    """Make a user that logs in with a password, may make databases, and is admitted to the roles.

    The password goes to the server as its verifier: neither its log nor its statistics hold it.
    """
    name = sql.Identifier(user)
    verifier = db.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    _unless_there(db, sql.SQL("CREATE ROLE {}").format(name))
    db.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB PASSWORD {}").format(name, sql.Literal(verifier)))
    admit(db, user)


def make_database(db: psycopg.Connection, name: str, owner: str) -> None:
    """Make a database if it is missing; only the roles and its owner may connect."""
    database = sql.Identifier(name)
    if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        _unless_there(db, sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))


def _unless_there(db: psycopg.Connection, statement: Query) -> None:
    """Run a CREATE, which another process may have been quicker with."""
    with suppress(psycopg.errors.DuplicateObject, psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        db.execute(statement)
