"""A venue that sends a constant number of trades a second until it is killed, and answers the few REST requests.

``python -m tests.support.builders.steady_feed SYMBOLS RATE`` prints its URLs. Frames are made as they are sent: it
never holds many. Each connection gets the symbols that its address names, and its share of the rate.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from urllib.parse import urlsplit

from tests.bench.feed import frame, handshake, payloads, symbols

PAUSE = threading.Event()
"""Never set: waiting for it is pacing."""
STEP_S = 0.005


class Answers(BaseHTTPRequestHandler):
    """Lists the symbols; has no trades to serve again."""

    protocol_version = "HTTP/1.1"
    names: tuple[str, ...] = ()

    def do_GET(self) -> None:
        """Answer."""
        facts = {"status": "TRADING", "quoteAsset": "USDT"}
        rows = [{"symbol": name, "baseAsset": name[:-4], **facts} for name in self.names]
        listing = urlsplit(self.path).path.endswith("/exchangeInfo")
        body = json.dumps({"symbols": rows} if listing else []).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: object) -> None:
        """Say nothing."""


def send(client: socket.socket, names: list[str], rate: float) -> None:
    """Send each trade when it is due; those that are overdue go together."""
    made = map(frame, payloads(1 << 62, names))
    begun, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * rate)
        if due > sent:
            client.sendall(b"".join(islice(made, due - sent)))
            sent = due
        PAUSE.wait(STEP_S)


def stream(client: socket.socket, names: list[str], rate: float) -> None:
    """Serve one connection until its client leaves."""
    with client, suppress(OSError):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = handshake(client, deflate=False)
        mine = [name for name in names if f"{name.lower()}@".encode() in asked] or names
        send(client, mine, rate * len(mine) / len(names))


def serve(count: int, rate: float) -> None:
    """Serve every stream that is asked for until killed."""
    names = list(symbols(count))
    Answers.names = tuple(names)
    answers = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=answers.serve_forever, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0))
    urls = {"ws_url": f"ws://127.0.0.1:{listener.getsockname()[1]}"}
    print(json.dumps(urls | {"rest_url": f"http://127.0.0.1:{answers.server_port}"}), flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=stream, args=(client, names, rate), daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
