"""Files as functions of their rows: bytes, hashes, checksums."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from tests.support.builders.fakes import NOON, Copy, ticks
from trading_platform.domain.errors import CorruptionError
from trading_platform.store.lake import parquet, publish as lake, schema
from trading_platform.store.lake.schema import TICKS


def many(count: int) -> pa.Table:
    rng = np.random.default_rng(7)
    return ticks(
        Copy(i, ts_event=NOON + i * 10**6, ts_recv=NOON + i * 10**6 + 123, price=round(p, 2), side=s)
        for i, p, s in zip(
            range(count), rng.normal(61000, 5, count), rng.choice(["buy", "sell", None], count), strict=True
        )
    )


def test_bytes_do_not_depend_on_how_the_rows_came(tmp_path, monkeypatch):
    """The same rows in one piece, in many, or as a slice of more give the same bytes and the same hash."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 100)
    table = many(1050)
    rows = table.slice(17, 1000)
    whole = parquet.write(tmp_path / "whole", pa.concat_tables([rows]).combine_chunks())
    assert parquet.write(tmp_path / "slice", rows) == whole
    with parquet.RowWriter(tmp_path / "pieces", TICKS) as writer:
        for at in range(0, 1000, 37):
            writer.add(rows.slice(at, 37))
        assert writer.finish() == whole
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "slice").read_bytes() == (tmp_path / "pieces").read_bytes()
    assert parquet.read(tmp_path / "pieces").equals(rows)
    parquet.verify_file(tmp_path / "pieces", whole)
    assert whole[:2] == (1000, lake.content_hash(rows))


def test_a_file_tells_nothing_but_its_rows(tmp_path):
    """Neither a path, nor pandas' notes, nor a table's own metadata enter a file."""
    table = many(10).replace_schema_metadata({"run": "17"})
    parquet.write(tmp_path / "a", table)
    with parquet.open_file(tmp_path / "a") as file:
        assert set(file.metadata.metadata) == {b"ARROW:schema"}
        assert file.schema_arrow.metadata is None


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    """A flipped bit in a file is an error when it is read, or the rows are still the same."""
    path = tmp_path / "ticks.parquet"
    table = many(2000)
    parquet.write(path, table)
    good = path.read_bytes()
    rng = random.Random(5)
    noticed = 0
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        try:
            assert parquet.read(path).equals(table)
        except CorruptionError as error:
            assert str(path) in str(error)
            noticed += 1
    assert noticed > 200


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not parquet at all", None])
def test_what_is_no_file_of_ours_is_named(tmp_path, damage):
    """An empty, short, foreign or truncated file is a CorruptionError naming it."""
    path = tmp_path / "x.parquet"
    parquet.write(path, many(100))
    path.write_bytes(path.read_bytes()[:-10] if damage is None else damage)
    with pytest.raises(CorruptionError, match=r"x\.parquet"):
        parquet.read(path)


def test_the_hash_tells_nulls_nans_texts_and_types_apart():
    """Tables that differ in anything but their chunks have different hashes."""
    f, s, i = pa.float64(), pa.string(), pa.int64()
    tables = [
        pa.array([0.0, 1.0], f),
        pa.array([None, 1.0], f),
        pa.array([float("nan"), 1.0], f),
        pa.array([-0.0, 1.0], f),
        pa.array(["ab", "c"], s),
        pa.array(["a", "bc"], s),
        pa.array(["abc", None], s),
        pa.array(["abc", ""], s),
        pa.array([0, 1], i),
        pa.array([None, 1], i),
        pa.array([False, True]),
        pa.array([None, True]),
    ]
    hashes = [lake.content_hash(pa.table({"x": column})) for column in tables]
    hashes.append(lake.content_hash(pa.table({"y": tables[0]})))
    assert len(set(hashes)) == len(hashes)
    odd_nan = pa.array(np.array([0x7FF8_0000_0000_00FF], np.uint64).view(np.float64))
    assert lake.content_hash(pa.table({"x": odd_nan})) == lake.content_hash(pa.table({"x": pa.array([float("nan")])}))


def test_a_channel_or_an_earlier_reception_does_not_change_the_content():
    """The hash of ticks leaves out when and over what we received them."""
    early = ticks([Copy(1), Copy(2)])
    late = ticks([Copy(1, ts_recv=NOON + 5, source="rest"), Copy(2)])
    assert lake.content_hash(early) == lake.content_hash(late)
    assert lake.content_hash(early) != lake.content_hash(ticks([Copy(1, side=None), Copy(2)]))


@pytest.mark.parametrize("differ", [False, True], ids=["few prices", "all differ"])
def test_prices_are_encoded_as_they_repeat(tmp_path, differ):
    """Prices that nearly all differ get no dictionary, others do; texts as codes give the bytes of texts."""
    table = many(6000)
    if differ:
        at = table.schema.get_field_index("price")
        table = table.set_column(at, "price", pa.array(np.linspace(1, 2, 6000)))
    written = parquet.write(tmp_path / "a", table)
    assert parquet.write(tmp_path / "b", schema.lean(table)) == written
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    parquet.verify_file(tmp_path / "a", written, lean=True)
    assert parquet.read(tmp_path / "a").equals(table)
    with parquet.open_file(tmp_path / "a") as file:
        group = file.metadata.row_group(0)
        encodings = {group.column(at).path_in_schema: group.column(at).encodings for at in range(group.num_columns)}
    assert ("BYTE_STREAM_SPLIT" in encodings["price"]) == differ
    assert ("RLE_DICTIONARY" in encodings["price"]) != differ
    assert "RLE_DICTIONARY" in encodings["side"]


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path):
    """Another row, another order or another channel's name behind whole pages: reading back notices."""
    table = many(50)
    written = parquet.write(tmp_path / "a", table)
    for wrong in (table.slice(1), table.take(list(reversed(range(50)))), ticks([Copy(1, source="rest")])):
        parquet.write(tmp_path / "b", wrong)
        with pytest.raises(CorruptionError, match="what was read back"):
            parquet.verify_file(tmp_path / "b", written, lean=True)
    parquet.verify_file(tmp_path / "a", written, lean=True)
