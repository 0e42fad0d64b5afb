"""The rule of numberings against its naive twin, for streams of every kind of trouble, cut anywhere."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from tests.support.judges.naive import numbering as naive
from tests.unit.completeness.test_sequence_reset import Stream, judge


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Draw a stream: a numbering that rises, with repeats, disorder, losses, stray ids and resets, often at one ms."""
    number, ms = draw(st.sampled_from([1, 1000, 10**9])), 100
    stream: Stream = []
    for _ in range(draw(st.integers(1, 14))):
        match draw(st.sampled_from(["rise", "rise", "rise", "echo", "lose", "stray", "reset", "swap", "jump"])):
            case "rise":
                for _ in range(draw(st.integers(1, 5))):
                    stream.append((number, ms))
                    number, ms = number + 1, ms + draw(st.sampled_from([0, 0, 1, 2, 5]))
            case "echo":
                stream += stream[-draw(st.integers(1, 6)) :]
            case "lose":
                number += draw(st.sampled_from([1, 2, 5000]))
            case "stray":
                stray = draw(st.sampled_from([1, 500, number - 3, number + 7, number + 2 * 10**6, 10**12]))
                stream += [(max(0, stray), ms)] * draw(st.sampled_from([1, 1, 2]))
            case "reset":
                number = draw(st.sampled_from([1, 1, 400, max(1, number - 4), 10**6, 10**12]))
                ms += draw(st.sampled_from([0, 1, 3, 5000]))
            case "swap" if len(stream) > 1:
                stream[-1], stream[-2] = stream[-2], stream[-1]
            case "jump":
                number += draw(st.sampled_from([10**6 + 5, 10**7]))
    return stream or [(number, ms)]


@settings(max_examples=300)
@given(streams(), st.data())
def test_numbering_equals_its_naive_twin(stream: Stream, data: st.DataObject) -> None:
    """Cut into any stretches, each judged by another process, a stream has the epochs that the naive rule gives it."""
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4))))
    assert judge(stream, cuts)[0] == naive.epochs(stream)
