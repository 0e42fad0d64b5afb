"""Replay one seed: ``python -m tests.simulation --seed N [--minutes M] [--trace]``."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.world import play


def main() -> int:
    """Play it and print the verdict; exit 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, metavar="N")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="exchange time (default 10)")
    parser.add_argument("--trace", action="store_true", help="print everything that happens, with its virtual time")
    args = parser.parse_args()
    verdict = play(args.seed, minutes=args.minutes, out=sys.stdout if args.trace else None)
    print(verdict.text())
    print(" ".join(f"{name} {value}" for name, value in verdict.figures.items()))
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
