"""Tell people what is wrong: once when a cause begins, once a day while it lasts, once when it has ended.

`due` is pure and decides; `Webhook` and `Mail` send. What is wrong is pipeline/causes.py.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from trading_platform.domain.cause import Cause
from trading_platform.domain.errors import WorkError

REMIND_NS = 24 * 3600 * 10**9
TIMEOUT_S = 10.0

Told = Mapping[str, tuple[str, str, int, int]]
"""What a channel was told and has not heard the end of: key to (tier, text, since, last told), times in ns."""


class CauseNotice(NamedTuple):
    """One message about one cause; `since_ns` is when it was first seen."""

    cause: Cause
    state: Literal["began", "lasts", "ended"]
    since_ns: int
    at_ns: int

    @property
    def text(self) -> str:
        """The message in one line."""
        minutes = (self.at_ns - self.since_ns) // (60 * 10**9)
        if self.state == "began":
            return self.cause.text
        return f"{'ended after' if self.state == 'ended' else 'for'} {minutes:,} min: {self.cause.text}"


class Channel(Protocol):
    """Where notices go."""

    name: str

    def send(self, notice: CauseNotice) -> None:
        """Send one notice.

        Raises
        ------
        WorkError : if it did not get there; it is sent again later.
        """


def due(told: Told, causes: Iterable[Cause], now_ns: int) -> list[CauseNotice]:
    """Return what a channel is to be told now.

    >>> [notice.state for notice in due({"a": ("page", "x", 0, 0)}, [Cause("b", "ticket", "y")], 60)]
    ['began', 'ended']
    """
    now = {cause.key: cause for cause in causes}
    found = []
    for key, cause in now.items():
        if key not in told:
            found.append(CauseNotice(cause, "began", now_ns, now_ns))
        elif now_ns - told[key][3] >= REMIND_NS:
            found.append(CauseNotice(cause, "lasts", told[key][2], now_ns))
    for key, (tier, text, since_ns, _) in told.items():
        if key not in now:
            cause = Cause(key, "page" if tier == "page" else "ticket", text)
            found.append(CauseNotice(cause, "ended", since_ns, now_ns))
    return found


def after(told: Told, sent: CauseNotice) -> Told:
    """Return what a channel was told once this notice has reached it."""
    key, tier, text = sent.cause
    if sent.state == "ended":
        return {name: value for name, value in told.items() if name != key}
    return {**told, key: (tier, text, sent.since_ns, sent.at_ns)}


class Webhook:
    """POSTs a notice as JSON; `text` is what chat services show."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, notice: CauseNotice) -> None:
        """Send one notice."""
        import httpx

        try:
            answer = httpx.post(self._url, json=payload(notice), timeout=TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise WorkError(
                f"the webhook cannot be reached: {type(error).__name__}"
            ) from None  # its words have the URL
        if not answer.is_success:
            raise WorkError(f"the webhook answered {answer.status_code}")


class Mail:
    """Sends a notice by e-mail, over TLS where the server offers it."""

    name = "mail"

    def __init__(self, url: str, sender: str, receivers: Sequence[str]) -> None:
        self._at = urlsplit(url)
        self._sender = sender
        self._receivers = tuple(receivers)

    def send(self, notice: CauseNotice) -> None:
        """Send one notice."""
        message = EmailMessage()
        message["Subject"] = f"[{notice.cause.tier}] {notice.text}"[:150]
        message["From"], message["To"] = self._sender, ", ".join(self._receivers)
        message.set_content(f"{notice.text}\n\ncause: {notice.cause.key}\nstate: {notice.state}\n")
        try:
            with self._connected() as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise WorkError(f"the mail server did not take it: {type(error).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        host, secure = self._at.hostname or "", self._at.scheme == "smtps"
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if secure:
            server = smtplib.SMTP_SSL(host, self._at.port or 465, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, self._at.port or 25, timeout=TIMEOUT_S)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
        if self._at.username:
            server.login(unquote(self._at.username), unquote(self._at.password or ""))
        return server


def payload(notice: CauseNotice) -> dict[str, Any]:
    """Return what a webhook gets."""
    return {
        "text": f"[{notice.cause.tier}] {notice.text}",
        "cause": notice.cause.key,
        "tier": notice.cause.tier,
        "state": notice.state,
        "since_ns": notice.since_ns,
        "at_ns": notice.at_ns,
    }
