"""`simulate`: serve a venue's real protocol on this machine. The simulator is trading_platform/simulate/."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import MOST_ID, parse_venue, path, print_line, whole
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.simulate.venue_server import VenueServer

EXAMPLE = "trading-platform simulate --venue binance --speed 10 --faults plan.json --truth truth.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the venue, addresses, recordings, speed, faults and output files."""
    parser.add_argument("--venue", metavar="V", required=True, help="the exchange to simulate, for example binance")
    add_market(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument(
        "--port",
        type=whole(0, 65534),
        default=0,
        metavar="P",
        help="stream port, REST gets the next (default: any two)",
    )
    parser.add_argument("--loop", action="store_true", help="repeat the recording for ever; ids and times continue")
    parser.add_argument("--truth", type=path, metavar="FILE.jsonl", help="write a line for every trade issued")
    parser.add_argument("--requests", type=path, metavar="FILE.jsonl", help="write a line for every REST request")
    parser.epilog = (
        f"example:\n  {EXAMPLE}\n\nWithout --recording a synthetic market of three symbols is served:\nit begins now, "
        "and a restart continues it."
    )


def add_market(parser: argparse.ArgumentParser, speed: str = "1") -> None:
    """Add the arguments for the market and its faults."""
    parser.add_argument(
        "--recording", type=path, action="append", default=[], metavar="PATH", help="play this capture; repeatable"
    )
    parser.add_argument("--speed", default="1", metavar="X", help=f"times real time, or max (default: {speed})")
    parser.add_argument("--faults", type=path, metavar="PLAN.json", help="the planned faults")
    parser.add_argument(
        "--seed", type=whole(0, MOST_ID), default=0, metavar="N", help="seed of the market and of random faults"
    )


def parse_speed(text: str) -> float | None:
    """Return the speed, None for max.

    >>> parse_speed("2.5"), parse_speed("max")
    (2.5, None)
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise UsageError(f"{text[:40]!r} is not a speed; give a number above 0, or max")
    return speed


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve until stopped."""
    from trading_platform.simulate.exchanges import EXCHANGES

    parse_venue(args.venue, list(EXCHANGES))
    server = make_server(args)
    return asyncio.run(_serve(server))


def make_server(args: argparse.Namespace) -> VenueServer:
    """Return the simulated venue that the arguments describe."""
    from trading_platform.simulate.exchanges import EXCHANGES
    from trading_platform.simulate.faults import FaultPlan
    from trading_platform.simulate.recorded_market import RecordedMarket
    from trading_platform.simulate.synthetic_market import GENESIS_NS, SyntheticMarket
    from trading_platform.simulate.tape import Market
    from trading_platform.simulate.venue_server import VenueServer

    speed = parse_speed(args.speed)
    plan = FaultPlan() if args.faults is None else FaultPlan.load(args.faults)
    market: Market
    begins_at_ns = None
    if args.recording:
        market = RecordedMarket.load(args.recording, loop=args.loop)
    elif args.loop:
        raise UsageError("--loop repeats a recording; give one with --recording")
    else:
        profiles = EXCHANGES[args.venue].profiles
        market, begins_at_ns = SyntheticMarket(seed=args.seed, start_ns=GENESIS_NS, profiles=profiles), time.time_ns
    return VenueServer(
        market,
        exchange=EXCHANGES[args.venue],
        plan=plan,
        seed=args.seed,
        speed=speed,
        truth_path=args.truth,
        host=args.host,
        port=args.port,
        rest_port=args.port + 1 if args.port else 0,
        begins_at_ns=begins_at_ns,
        requests_path=args.requests,
    )


async def _serve(server: VenueServer) -> int:
    from trading_platform.commands.support.runtime import stop_signals

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    async with server:
        with contextlib.suppress(BrokenPipeError):
            print_line({"ws_url": server.ws_url, "rest_url": server.rest_url})
        await server.run_until(stop)
    return 0
