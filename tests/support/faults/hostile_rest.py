"""A hostile REST server: it hangs, sends byte by byte, refuses, or answers nonsense.

Bare sockets on threads: what a real server would never send is the point. A venue is
tests/support/builders/venue_thread.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Behaviour = Callable[["HostileRest", socket.socket, bytes], None]
DRIP_S = 0.1


def hang(server: HostileRest, peer: socket.socket, request: bytes) -> None:
    """Take the request and say nothing."""
    server.over.wait()


def drip_headers(server: HostileRest, peer: socket.socket, request: bytes) -> None:
    """Send a byte of a header now and then, for ever."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not server.over.wait(DRIP_S):
        peer.sendall(b"a")


def drip_body(server: HostileRest, peer: socket.socket, request: bytes) -> None:
    """Send good headers, then a byte of the body now and then."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not server.over.wait(DRIP_S):
        peer.sendall(b" ")


def refuse(server: HostileRest, peer: socket.socket, request: bytes) -> None:
    """Hang up."""


def answer(status: str, body: bytes = b"", *headers: bytes) -> Behaviour:
    """Answer with this."""

    def behave(server: HostileRest, peer: socket.socket, request: bytes) -> None:
        head = b"".join(header + b"\r\n" for header in (b"Content-Length: %d" % len(body), *headers))
        peer.sendall(b"HTTP/1.1 " + status.encode() + b"\r\n" + head + b"Connection: close\r\n\r\n" + body)

    return behave


def by_path(otherwise: Behaviour, **paths: Behaviour) -> Behaviour:
    """Behave by what the request is about, say ``exchangeInfo=hang``."""

    def behave(server: HostileRest, peer: socket.socket, request: bytes) -> None:
        target = request.split(b" ", 2)[1].decode()
        chosen = next((each for name, each in paths.items() if name in target), otherwise)
        chosen(server, peer, request)

    return behave


class HostileRest:
    """Serves connections, one request each, until closed; a context manager.

    Attributes
    ----------
    behaviour : what happens to the next request.
    asked : the request lines so far.
    over : set at the end.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []
        self.over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = peer.recv(4096)
                if not piece:
                    return
                request += piece
            self.asked.append(request.split(b"\r\n", 1)[0].decode())
            self.behaviour(self, peer, request)
