"""What `binary_copy.encode` writes is what PostgreSQL reads: any table comes back row by row, to the bit."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from psycopg import sql

from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.store.database.rows.instruments import copy_in

COLUMNS = {
    "small": (pa.int16(), "smallint"),
    "tiny": (pa.int8(), "smallint"),
    "whole": (pa.int32(), "integer"),
    "long": (pa.int64(), "bigint"),
    "real": (pa.float64(), "double precision"),
    "truth": (pa.bool_(), "boolean"),
    "at": (pa.timestamp("ns", "UTC"), "timestamptz"),
    "plain": (pa.string(), "text"),
    "coded": (pa.dictionary(pa.int8(), pa.string()), "text"),
    "nothing": (pa.string(), "text"),
}
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
FEW = st.sampled_from(["", "ws", "rest", "ä"])
ROWS = st.lists(
    st.tuples(
        *(
            st.none() | values
            for values in (
                st.integers(-(2**15), 2**15 - 1),
                st.integers(-128, 127),
                st.integers(-(2**31), 2**31 - 1),
                st.integers(-(2**63), 2**63 - 1),
                st.floats(),
                st.booleans(),
                st.integers(-(2**62), 2**62),
                TEXTS,
                FEW,
                st.none(),
            )
        )
    ),
    max_size=12,
)


@pytest.fixture
def db(postgres: Server) -> Iterator[psycopg.Connection]:  # noqa: F811
    """Give a session with an empty table of these columns."""
    with psycopg.connect(postgres.database()) as db:
        names = ", ".join(f"{name} {kind}" for name, (_, kind) in COLUMNS.items())
        db.execute(f"CREATE TEMP TABLE taken ({names})".encode())
        yield db


def bits(value: Any) -> Any:
    """Return a value that equals another only if all of its bits do; every NaN is one."""
    if isinstance(value, float):
        return "NaN" if value != value else struct.pack(">d", value)  # noqa: PLR0124  it is how one tells
    return value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
@example(
    [(1, 2, 3, 4, -0.0, True, -1, "", None, None), (None,) * 10, (1, 2, 3, 4, float("nan"), False, 999, "x", "", None)]
)
@example([(at, None, None, None, 0.5, None, None, "x" * at, None, None) for at in range(300)])
def test_every_table_comes_back(db: psycopg.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Nulls, texts of any length, coded texts, NaN, infinities, and more patterns than are looked for one by one."""
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    arrays = [_array(list(column), kind) for column, (kind, _) in zip(columns, COLUMNS.values(), strict=True)]
    table = pa.table(dict(zip(COLUMNS, arrays, strict=True)))
    db.execute("DELETE FROM taken")
    copy_in(db, sql.Identifier("taken"), table)
    us = "(extract(epoch FROM at) * 1000000)::bigint"
    names = ", ".join(us if name == "at" else name for name in COLUMNS)
    found = db.execute(f"SELECT {names} FROM taken".encode(), binary=True).fetchall()
    wanted = [tuple(v // 1000 if n == 6 and v is not None else v for n, v in enumerate(row)) for row in rows]
    assert Counter(tuple(map(bits, row)) for row in found) == Counter(tuple(map(bits, row)) for row in wanted)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
