"""The ASGI application of our own pages: which address gives what. It only reads, and refuses everything but GET.

Which requests come here at all is decided before, by guard.py. Files are served from two folders and from nowhere else;
a day in an address is parsed before it becomes part of a path.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import PlatformError, UsageError
from trading_platform.orchestration.guard import Application, Receive, Scope, Send
from trading_platform.orchestration.pages.feed import COLUMNS, Feed, shown
from trading_platform.orchestration.pages.navigation import ROOT, TEMPLATES, environment
from trading_platform.orchestration.pages.status import status_page
from trading_platform.pipeline.live_market import LiveMarket, SymbolMarket
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

_OWN = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'"
_DOCUMENTS = (
    "default-src 'none'; style-src 'unsafe-inline' {at}; img-src data: {at}; font-src data: {at};"
    " script-src 'unsafe-inline' 'unsafe-eval' {at}; connect-src {at}; form-action 'none'; base-uri 'none'"
)
"""Generated sites bring scripts of their own, which may load from their own folder only, and ask Dagster nothing."""

Handler = Callable[[Request], Awaitable[Response]]


class Site:
    """A folder with a generated site; `make` says how it is made where it is not there."""

    def __init__(self, name: str, title: str, folder: Path, make: Sequence[str], command: str) -> None:
        self.name = name
        self.title = title
        self.folder = folder
        self.make = make
        self.command = command


class Pages:
    """Our pages for one data directory.

    Parameters
    ----------
    clock : wall clock (ns) and monotonic clock (s).
    """

    def __init__(
        self,
        data: DataDir,
        open_ledger: Callable[[DataDir], Ledger] = Ledger.open,
        clock: tuple[Callable[[], int], Callable[[], float]] = (time.time_ns, time.monotonic),
    ) -> None:
        self._data = data
        self._open_ledger = open_ledger
        self._now_ns, self._monotonic = clock
        self._market = LiveMarket(data, open_ledger)
        self.feed = Feed(self._read_market)
        sites = [
            Site("dbt", "dbt docs", data.dbt_docs, _DBT, ""),
            Site("data-docs", "Data Docs", data.data_docs, _DATA_DOCS, ""),
        ]
        routes = [
            Route(f"{ROOT}/", self._status),
            Route(f"{ROOT}/report", self._newest_report),
            Route(f"{ROOT}/report/all", self._reports),
            Route(f"{ROOT}/report/{{day}}", self._report),
            Route(f"{ROOT}/live", self._live),
            Route(f"{ROOT}/live.js", self._script),
            Route(f"{ROOT}/feed", self._events),
        ]
        for site in sites:
            routes.append(Route(f"{ROOT}/{site.name}", _redirect))
            routes.append(Route(f"{ROOT}/{site.name}/{{path:path}}", self._files_of(site)))
        self.application: Application = Starlette(
            routes=routes, exception_handlers={HTTPException: _told, PlatformError: _failed}
        )

    def _read_market(self) -> list[SymbolMarket]:
        return self._market.read(self._now_ns(), self._monotonic())

    async def _status(self, request: Request) -> Response:
        return _page(request, "status.html.j2", here="Status", s=await run_in_threadpool(self._read_status))

    def _read_status(self) -> Any:
        if not self._data.ledger_path.exists():
            return status_page(self._data, None, self._now_ns())
        with closing(self._open_ledger(self._data)) as ledger:
            return status_page(self._data, ledger, self._now_ns())

    async def _newest_report(self, request: Request) -> Response:
        days = self._days()
        if days:
            return self._report_of(request, days[-1])
        return _notice(
            request,
            "Reports",
            "Quality reports",
            ["No report is written yet. Dagster writes one for each day that is over; this writes one now:"],
            f"trading-platform report --data-dir {self._data.root}",
        )

    async def _reports(self, request: Request) -> Response:
        return _page(request, "reports.html.j2", here="Reports", days=self._days()[::-1])

    async def _report(self, request: Request) -> Response:
        try:
            day = parse_day(request.path_params["day"])
        except UsageError as error:
            raise HTTPException(404, str(error)) from None
        return self._report_of(request, day)

    def _report_of(self, request: Request, day: str) -> Response:
        path = self._data.reports / f"{day}.html"
        if not path.is_file():
            raise HTTPException(404, f"there is no report of {day}; {ROOT}/report/all lists those that are there")
        return FileResponse(path, media_type="text/html", headers=_headers(request, _OWN))

    def _days(self) -> list[str]:
        """Return the days that have a report, ascending."""
        found = []
        for path in self._data.reports.glob("*.html"):
            try:
                found.append(parse_day(path.stem))
            except UsageError:
                continue  # a file that is not ours
        return sorted(found)

    async def _live(self, request: Request) -> Response:
        rows = [shown(market) for market in await run_in_threadpool(self._read_once)]
        return _page(request, "live.html.j2", here="Live market", rows=rows, columns=COLUMNS)

    def _read_once(self) -> list[SymbolMarket]:
        market = LiveMarket(self._data, self._open_ledger)
        with closing(market):
            return market.read(self._now_ns(), self._monotonic())

    async def _script(self, request: Request) -> Response:
        return FileResponse(TEMPLATES / "live.js", media_type="text/javascript", headers=_headers(request, _OWN))

    async def _events(self, request: Request) -> Response:
        if self.feed.full:
            return PlainTextResponse("too many pages are open\n", 503, headers={"retry-after": "30"})
        return StreamingResponse(
            self.feed.events(),
            media_type="text/event-stream",
            headers={**_headers(request, _OWN), "x-accel-buffering": "no"},
        )

    def _files_of(self, site: Site) -> Handler:
        async def serve(request: Request) -> Response:
            if not (site.folder / "index.html").is_file():
                return _notice(request, site.title, site.title, site.make, site.command)
            path = _inside(site.folder, request.path_params["path"] or "index.html")
            if path is None:
                raise HTTPException(404, f"{site.title} have no such page")
            headers = _headers(request, _DOCUMENTS, f"/{site.name}")
            if path.suffix != ".html":
                return FileResponse(path, headers=headers)
            return HTMLResponse(await run_in_threadpool(_with_navigation, path, site.title), headers=headers)

        return serve


_DBT = (
    "The documentation of the warehouse is not made yet. Dagster makes it when it builds the warehouse: a few minutes "
    "after bars were published, or now, if you materialize the asset group warehouse there.",
)
_DATA_DOCS = (
    "Great Expectations has not written its Data Docs yet. Dagster's job daily_checkpoint writes them "
    "once a day is over; materialize the asset statistics to have them now.",
)


def _inside(folder: Path, wanted: str) -> Path | None:
    """Return the file below the folder, None for one that is not there or lies elsewhere, also by a link."""
    try:
        root = folder.resolve(strict=True)
        path = (root / wanted).resolve(strict=True)
        if path.is_dir():
            path = (path / "index.html").resolve(strict=True)
    except (OSError, ValueError):  # not there; a name with a null character
        return None
    return path if path.is_relative_to(root) and path.is_file() else None


def _with_navigation(path: Path, here: str) -> str:
    """Return a generated page with our bar above everything else."""
    text = path.read_text(errors="replace")
    bar = environment().get_template("bar.html.j2").render(here=here)
    begin = text.lower().find("<body")
    after = text.find(">", begin) + 1 if begin >= 0 else 0
    return f"{text[:after]}{bar}{text[after:]}"


async def _redirect(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path}/")


def _page(request: Request, template: str, status: int = 200, **values: object) -> Response:
    text = environment().get_template(template).render(**values)
    return HTMLResponse(text, status, headers=_headers(request, _OWN))


def _notice(
    request: Request, here: str, title: str, paragraphs: Sequence[str], command: str = "", status: int = 200
) -> Response:
    told = {"here": here, "title": title, "paragraphs": paragraphs, "command": command}
    return _page(request, "notice.html.j2", status, **told)


def _headers(request: Request, policy: str, below: str = "") -> dict[str, str]:
    """Return what every answer says: whence a page may load, by the host that the guard has let pass."""
    host = request.headers["host"]
    at = "'self'" if host.startswith("[") else f"{host}{ROOT}{below}/"  # a policy cannot name an IPv6 address
    return {
        "content-security-policy": policy.format(at=at),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    found = _notice(request, "", f"{error.status_code}", [str(error.detail)], status=error.status_code)
    found.headers.update(headers)
    return found


async def _failed(request: Request, error: Exception) -> Response:
    return _notice(request, "", "Not readable now", [" ".join(str(error).split())[:500]], status=503)


def beside(ours: Application, theirs: Application) -> Application:
    """Return an application that gives our addresses to `ours` and everything else to `theirs`."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        mine = scope["type"] == "http" and (path == ROOT or path.startswith(f"{ROOT}/"))
        if mine and path == ROOT:
            scope = {**scope, "path": f"{ROOT}/", "raw_path": f"{ROOT}/".encode()}
        await (ours if mine else theirs)(scope, receive, send)

    return routed
