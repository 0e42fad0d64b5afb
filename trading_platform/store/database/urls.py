"""The database's address in the dialect of each library that needs it.

The setting is libpq's URL; SQLAlchemy (psycopg 3) and Dagster (psycopg 2) name their driver in the scheme. A password
stays inside these texts: no message, argument or log line is made of them, but by `shown`.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from trading_platform.domain.errors import UsageError

_SCHEMES = ("postgresql", "postgres")


def libpq(url: str) -> str:
    """Return the address as libpq, psql and psycopg read it.

    >>> libpq("postgresql+psycopg://u:p@h/d")
    'postgresql://u:p@h/d'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in _SCHEMES:
        raise UsageError("the database's address must look like postgresql://user@host/database")
    return f"postgresql://{rest}"


def for_sqlalchemy(url: str) -> str:
    """Return the address for `sqlalchemy.create_engine`, with psycopg 3.

    >>> for_sqlalchemy("postgresql://u:p@h/d?sslmode=require")
    'postgresql+psycopg://u:p@h/d?sslmode=require'
    """
    return "postgresql+psycopg" + libpq(url).removeprefix("postgresql")


def for_dagster(url: str) -> str:
    """Return the address for Dagster's storage, which brings psycopg 2.

    >>> for_dagster("postgresql://u:p@h/d")
    'postgresql+psycopg2://u:p@h/d'
    """
    return "postgresql+psycopg2" + libpq(url).removeprefix("postgresql")


def with_database(url: str, name: str) -> str:
    """Return the address of another database of the same server.

    >>> with_database("postgresql://u:p@h:1/d?sslmode=require", "other")
    'postgresql://u:p@h:1/other?sslmode=require'
    """
    parts = urlsplit(libpq(url))
    # Put together by hand: urlunsplit drops the slashes of an address without a host.
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql://{parts.netloc}/{quote(name, safe='')}{query}"


def database_name(url: str) -> str:
    """Return the name of the database, as libpq defaults it.

    >>> database_name("postgresql://u:p@h:1/my%20data?sslmode=require"), database_name("postgresql://me@h")
    ('my data', 'me')
    """
    parts = urlsplit(libpq(url))
    return unquote(parts.path.removeprefix("/")) or unquote(parts.username or "")


def shown(url: str) -> str:
    """Return what a message may tell of an address: host, port and database.

    >>> shown("postgresql://me:word@host:5432/book?password=other")
    'host:5432/book'
    """
    place = urlsplit(libpq(url)).netloc.rpartition("@")[2]
    return f"{place}/{database_name(url)}"
