"""The bytes of a segment: round trip, and every way to be no record."""

from __future__ import annotations

import struct

import google_crc32c
import pytest
from hypothesis import given, strategies as st

from trading_platform.domain.errors import UsageError
from trading_platform.domain.position import Position
from trading_platform.store.log.segment_format import (
    RECORD_BYTES_MAX,
    RECORDS_AT,
    CheckedRecord,
    Header,
    Kind,
    Record,
    check_record,
    decode_records,
    encode_record,
    find_record,
    parse_header,
    record_size,
    runs,
)

HEADER = Header(number=3, generation=b"8 random", previous_end=4096, created_ns=1_723_161_600_000_000_000)


def encoded(frames: list[bytes], offset: int = RECORDS_AT, header: Header = HEADER, durable_to: int = 0) -> bytes:
    return encode_record(
        frames,
        [len(frame) for frame in frames],
        Kind.FRAMES,
        seed=header.seed,
        offset=offset,
        durable_to=durable_to,
        ts_recv=1,
        mono_ns=2,
        connection=3,
    )


def test_a_header_survives_the_loss_of_either_copy() -> None:
    """One bad sector in the header block costs nothing."""
    block = HEADER.block
    assert len(block) == RECORDS_AT
    assert parse_header(block, 3) == HEADER
    assert parse_header(bytes(512) + block[512:], 3) == HEADER
    assert parse_header(block[:512] + bytes(512), 3) == HEADER
    assert parse_header(bytes(1024), 3) is None


def test_a_header_under_another_number_or_cut_short_is_none() -> None:
    """A segment file copied to another name does not pass, nor does the beginning of a header."""
    assert parse_header(HEADER.block, 4) is None
    for size in range(len(HEADER.encoded)):
        assert parse_header(HEADER.block[:size], 3) is None


def test_a_later_format_is_refused_not_taken_for_damage() -> None:
    """A log written by a newer program is left alone."""
    plain = HEADER.encoded[:-4]
    newer = plain[:8] + struct.pack("<I", 2) + plain[12:]
    with pytest.raises(UsageError, match="log format 2"):
        parse_header(newer + struct.pack("<I", google_crc32c.value(newer)), 3)


@given(st.lists(st.lists(st.binary(max_size=50), max_size=20), max_size=20), st.integers(0, 2**63 - 1))
def test_records_come_back_as_they_went_in(batches: list[list[bytes]], ts_recv: int) -> None:
    """Frames, times, kind and connection survive; positions are contiguous."""
    data = b""
    for number, frames in enumerate(batches):
        data += encode_record(
            frames,
            [len(frame) for frame in frames],
            number % 3 + 1,
            seed=HEADER.seed,
            offset=RECORDS_AT + len(data),
            durable_to=0,
            ts_recv=ts_recv,
            mono_ns=-ts_recv,
            connection=number,
        )
    records: list[Record] = []
    start = Position(3, RECORDS_AT)
    end, following = decode_records(data, RECORDS_AT, HEADER, records, start)
    assert (end, isinstance(following, int)) == (Position(3, RECORDS_AT + len(data)), True)
    assert [list(record.frames) for record in records] == batches
    assert [record.position for record in records] == [start, *[record.end for record in records]][:-1]
    assert all((r.ts_recv, r.mono_ns) == (ts_recv, -ts_recv) for r in records)
    assert [(r.kind, r.connection) for r in records] == [(Kind(n % 3 + 1), n) for n in range(len(batches))]
    assert [end - start for start, end, _ in runs(HEADER.block + data, HEADER.seed)] == [
        record_size([len(frame) for frame in frames]) for frames in batches
    ]


def test_a_record_passes_only_at_its_own_place_in_its_own_segment() -> None:
    """The same bytes at another offset, or under another generation, are no record."""
    record = encoded([b"abc"])
    other = HEADER._replace(generation=b"8 others")
    assert isinstance(check_record(record, 0, RECORDS_AT, HEADER.seed), CheckedRecord)
    assert check_record(record, 0, RECORDS_AT + 8, HEADER.seed) == "a record that belongs elsewhere"
    assert check_record(record, 0, RECORDS_AT, other.seed) == "a record fails its checksum"


def test_a_record_cut_anywhere_asks_for_the_rest() -> None:
    """Needs more: a beginning of a record says how many bytes it takes in all."""
    record = encoded([b"abc", b"defg"])
    for size in range(len(record)):
        wanted = check_record(record[:size], 0, RECORDS_AT, HEADER.seed)
        assert isinstance(wanted, int)
        assert size < wanted <= len(record)


@pytest.mark.parametrize("length", [0, 47, RECORD_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_never_trusted(length: int) -> None:
    """Too long: a claim beyond the bound is refused before a byte more is read."""
    record = bytearray(encoded([b"abc"]))
    record[8:12] = struct.pack("<I", length)
    assert str(check_record(bytes(record), 0, RECORDS_AT, HEADER.seed)).startswith(f"a record claims {length} bytes")


def test_more_frames_than_the_length_can_hold_are_refused() -> None:
    """A count of frames whose lengths alone would exceed the record is refused."""
    record = bytearray(encoded([b"abc"]))
    record[44:48] = struct.pack("<I", 2**32 - 1)
    assert str(check_record(bytes(record), 0, RECORDS_AT, HEADER.seed)).startswith("a record claims")


def test_a_record_is_found_behind_anything() -> None:
    """Looking for the next record passes over garbage, look-alikes and records of another generation."""
    foreign = encoded([b"abc"], header=HEADER._replace(generation=b"8 others"))
    garbage = b"\xa5TPR" * 20 + foreign
    record = encoded([b"abc"], offset=RECORDS_AT + len(garbage))
    found = find_record(garbage + record, 0, RECORDS_AT, HEADER.seed)
    assert found is not None
    assert found.start == RECORDS_AT + len(garbage)
    assert find_record(garbage, 0, RECORDS_AT, HEADER.seed) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_no_record(data: bytes) -> None:
    """Whatever is read, the answer is a verdict, never an exception or a record."""
    assert not isinstance(check_record(data, 0, RECORDS_AT, HEADER.seed), CheckedRecord)
    assert find_record(data, 0, RECORDS_AT, HEADER.seed) is None
    records: list[Record] = []
    decode_records(data, RECORDS_AT, HEADER, records, Position(3, RECORDS_AT))
    assert records == []
