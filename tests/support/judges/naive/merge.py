"""What one row per trade means, said as plainly as possible over the whole set of copies. Imports nothing of ours."""

RANK = {"ws": 0, "rest": 1, "archive": 2}
SIDE = {"buy": 0, "sell": 1, None: 2}


def refines(fine, coarse):
    cut = fine == coarse or any(fine // unit * unit == coarse for unit in (10**9, 10**6, 10**3))
    return cut or (fine % 1000 != 0 and coarse % 1000 == 0 and -300 <= fine - coarse < 1300)


def digits(time):
    return next((level for level, unit in enumerate((10**9, 10**6, 10**3)) if time % unit == 0), 3)


def terms(copy):
    return (copy.price, copy.quantity, copy.side)


def one_row(copies):
    """Return the published copy of a trade and the payloads that do not agree with it."""
    winner = min(copies, key=lambda c: (c.ts_recv, RANK[c.source], c.ts_event, c.price, c.quantity, SIDE[c.side]))
    alike = [c.ts_event for c in copies if terms(c) == terms(winner) and refines(c.ts_event, winner.ts_event)]
    time = min(alike, key=lambda t: (-digits(t), t))
    others = {
        (c.ts_event, *terms(c))
        for c in copies
        if terms(c) != terms(winner) or not (refines(c.ts_event, time) or refines(time, c.ts_event))
    }
    return winner._replace(ts_event=time), others


def publish(copies):
    """Return the rows of a file in order, and every dispute as (epoch, id, payload)."""
    rows, disputes = [], set()
    for key in sorted({(c.epoch, c.trade_id) for c in copies}):
        row, others = one_row([c for c in copies if (c.epoch, c.trade_id) == key])
        rows.append(row)
        disputes |= {(*key, *payload) for payload in others}
    return rows, disputes
