"""Fault plans are read strictly, and what they hit depends on seed, symbol and id alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.faults import KINDS, Event, FaultPlan, FrameFaults, RequestFaults, Signal
from trading_platform.simulate.tape import Print

SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}


def prints(count: int, name: str = "BTCUSDT") -> list[Print]:
    return [Print(n, 0, n, name, n, n, "1", "1", False) for n in range(1, count + 1)]


def play(plan: FaultPlan, rows: list[Print], *, seed: int = 0, last: int | None = None) -> tuple[list[int], list[bool]]:
    """Return the ids in the order of their frames, cuts as 0, and which trades count as sent."""
    faults = FrameFaults(plan, seed, SYMBOLS, {"BTCUSDT": last})
    out, sent = [], []
    for row in rows:
        deliveries, is_sent = faults.step(row, heard=True, elapsed_s=row.trade_id / 10)
        out += deliveries
        sent.append(is_sent)
    out += faults.flush()
    return [0 if isinstance(item, Signal) else item.trade_id for item in out], sent


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"dorp": 0.1}', "unknown key 'dorp'; known: drop duplicate reorder cut"),
        ('{"drop": 1.1}', "drop is 1.1"),
        ('{"cut": -0.1}', "cut is -0.1"),
        ('{"drop": "0.1"}', "it is a number"),
        ('{"drop": true}', "it is a number"),
        ('{"events": {}}', "events is a list"),
        ('{"events": [7]}', "is not an object"),
        ('{"events": [{"at_id": 1}]}', "is not a kind"),
        ('{"events": [{"at_id": 1, "kind": "explode"}]}', "'explode' is not a kind; known: drop"),
        ('{"events": [{"at_id": 1, "kind": "cut", "depth": 2}]}', "unknown key 'depth'"),
        ('{"events": [{"kind": "cut"}]}', "either at_s or at_id"),
        ('{"events": [{"kind": "cut", "at_id": 1, "at_s": 1}]}', "either at_s or at_id"),
        ('{"events": [{"kind": "drop", "at_id": 1, "count": 0}]}', "at least 1"),
        ('{"events": [{"kind": "drop", "at_id": 1.5}]}', "whole number"),
        ('{"events": [{"kind": "silence", "at_s": -1}]}', "before the start"),
        ('{"events": [{"kind": "rest_5xx", "at_s": 1, "status": 404}]}', "no 5xx"),
        ('{"events": [{"kind": "rest_forget", "at_s": 1}]}', "needs at_id"),
        ('{"events": [{"kind": "cut", "at_id": 1, "symbol": 7}]}', "it is a text"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(text, says):
    """An unknown key, a probability outside 0…1 or a value of the wrong type is refused with what is known."""
    with pytest.raises(UsageError) as caught:
        FaultPlan.parse(text if isinstance(text, bytes) else text.encode())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_plan_or_a_usage_error(data):
    """Nothing but UsageError comes out of reading a plan."""
    try:
        FaultPlan.parse(data)
    except UsageError as error:
        assert str(error)


def test_a_whole_plan_is_read(tmp_path):
    """Every probability and every kind with its options is understood, from a file."""
    options = {"count": 2, "depth": 3, "seconds": 1.5, "status": 502, "retry_after": 7, "first_id": 9, "shown_id": 9}
    options |= {"shown_time": 5, "code": 1013}
    events = [
        {"kind": kind, "at_id": 5} | {name: options[name] for name in takes} for kind, (_, takes) in KINDS.items()
    ]
    chances = dict.fromkeys(["drop", "duplicate", "reorder", "cut", "rest_429", "rest_5xx"], 0.5)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(chances | {"events": events}))
    plan = FaultPlan.load(path)
    assert [event.kind for event in plan.events] == list(KINDS)
    assert plan.rest_5xx == 0.5
    with pytest.raises(UsageError, match=r"none\.json"):
        FaultPlan.load(tmp_path / "none.json")


def test_an_empty_plan_changes_nothing():
    """Without faults every frame goes out once, in order."""
    assert play(FaultPlan(), prints(20))[0] == list(range(1, 21))
    assert FrameFaults(FaultPlan(), 0, SYMBOLS, {}).idle


def test_chance_is_a_function_of_seed_symbol_and_id():
    """The same trades are hit in another order and company; another seed hits others."""
    plan = FaultPlan(drop=0.2)
    lost = {n for n, sent in enumerate(play(plan, prints(500))[1], 1) if not sent}
    assert 60 < len(lost) < 140
    later = play(plan, [prints(1)[0], *prints(500)[250:]])[1][1:]
    assert {n for n, sent in enumerate(later, 251) if not sent} == {n for n in lost if n > 250}
    assert {n for n, sent in enumerate(play(plan, prints(500), seed=1)[1], 1) if not sent} != lost
    more = play(FaultPlan(drop=0.2, duplicate=0.5), prints(500))[1]
    assert {n for n, sent in enumerate(more, 1) if not sent} == lost


def test_chance_spares_the_first_delivered_and_the_last():
    """With everything dropped by chance, the first frame and the last still arrive; so they do with cuts."""
    assert play(FaultPlan(drop=1.0), prints(50), last=50)[0] == [1, 50]
    ids, sent = play(FaultPlan(cut=1.0), prints(5), last=5)
    assert ids == [1, 0, 0, 0, 5]
    assert sent == [True, False, False, False, True]


def test_nothing_is_lost_or_doubled_by_reordering():
    """Reordered frames all arrive once, none later than the symbol's last, and not in order."""
    ids, sent = play(FaultPlan(reorder=0.3), prints(400), last=400)
    assert sorted(ids) == list(range(1, 401))
    assert ids != sorted(ids)
    assert all(sent)


def test_duplicates_arrive_twice():
    """A duplicated frame comes twice, one right after the other."""
    ids, _ = play(FaultPlan(duplicate=1.0), prints(4))
    assert ids == [1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("event", "ids"),
    [
        (Event(kind="drop", at_id=3, count=2), [1, 2, 5, 6, 7, 8]),
        (Event(kind="drop", at_s=0.3, count=2), [1, 2, 5, 6, 7, 8]),
        (Event(kind="drop", at_id=1), [2, 3, 4, 5, 6, 7, 8]),
        (Event(kind="duplicate", at_id=3, count=2), [1, 2, 3, 3, 4, 4, 5, 6, 7, 8]),
        (Event(kind="reorder", at_id=3, depth=2), [1, 2, 4, 5, 3, 6, 7, 8]),
        (Event(kind="reorder", at_id=8, depth=2), [1, 2, 3, 4, 5, 6, 7, 8]),
        (Event(kind="replay", at_id=5, count=3), [1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8]),
        (Event(kind="silence", at_id=3, seconds=0.3), [1, 2, 6, 7, 8]),
        (Event(kind="cut", at_id=3), [1, 2, 0, 4, 5, 6, 7, 8]),
        (Event(kind="server_shutdown", at_id=3), [1, 2, 0, 3, 4, 5, 6, 7, 8]),
        (Event(kind="drop", at_id=3, symbol="ETH-USDT"), [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_single_events_do_what_they_say(event, ids):
    """Each kind of event changes exactly the frames that its description says."""
    assert play(FaultPlan(events=[event]), prints(8))[0] == ids


def test_silence_can_be_one_symbols():
    """One symbol falls silent while the other goes on."""
    faults = FrameFaults(
        FaultPlan(events=[Event(kind="silence", at_s=0, seconds=9, symbol="BTC-USDT")]), 0, SYMBOLS, {}
    )
    assert faults.step(prints(1)[0], heard=True, elapsed_s=1.0) == ([], False)
    eth = prints(1, "ETHUSDT")[0]
    assert faults.step(eth, heard=True, elapsed_s=1.0) == ([eth], True)


def test_what_is_planned_for_requests_is_due_without_trades():
    """An event at a time for connections or requests begins when the clock says so, once."""
    faults = FrameFaults(FaultPlan(events=[Event(kind="rest_429", at_s=2), Event(kind="drop", at_s=2)]), 0, SYMBOLS, {})
    assert faults.due(1.9) == []
    assert [signal.event.kind for signal in faults.due(2.0)] == ["rest_429"]
    assert faults.due(9.0) == []


def test_a_trade_nobody_hears_is_not_sent():
    """Without a listener there is no frame, and nothing by chance is used up."""
    faults = FrameFaults(FaultPlan(drop=0.5), 0, SYMBOLS, {})
    assert faults.step(prints(1)[0], heard=False, elapsed_s=0) == ([], False)


def test_requests_fail_as_often_as_planned():
    """Request faults follow their probabilities and the seed."""
    plan = FaultPlan(rest_429=0.3, rest_5xx=0.2)
    first, again = ([faults.next() for _ in range(1000)] for faults in (RequestFaults(plan, 1), RequestFaults(plan, 1)))
    assert first == again
    assert 230 < first.count("rest_429") < 370
    assert 80 < first.count("rest_5xx") < 200


def test_the_documentation_names_every_kind():
    """The page on fault plans has a line for each kind with its options, and its example is a plan."""
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")
    for kind, (what, options) in KINDS.items():
        assert f"| `{kind}` | {what} | {', '.join(f'`{name}`' for name in sorted(options))} |" in page
    assert FaultPlan.parse(page.partition("```json")[2].partition("```")[0].encode()).events


def test_an_odd_time_is_told_by_the_stream_only_and_only_so_often():
    """Two frames tell another trade time; the trades after them tell their own again."""
    rows = prints(5)
    faults = FrameFaults(FaultPlan(events=[Event(kind="odd_time", at_id=2, count=2, shown_time=17)]), 0, SYMBOLS, {})
    told = [item for row in rows for item in faults.step(row, heard=True, elapsed_s=0.0)[0]]
    assert [row.time == 17 for row in told] == [False, True, True, False, False]
    assert [row.trade_id for row in told] == [1, 2, 3, 4, 5]
