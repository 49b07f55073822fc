"""The ASGI application: the hot routes, and around them what operates and explains the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.resources import files
from time import perf_counter
from typing import NamedTuple

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import wherry
from wherry.collect.keys import Keys
from wherry.live.availability import LiveAvailability
from wherry.live.pages import ShownOnPages
from wherry.serve.answering import ROUTE, Answering
from wherry.serve.answers import AnswerLog
from wherry.serve.asking import Asking
from wherry.serve.availability import AVAILABILITY, AvailabilityRoute
from wherry.serve.available import AvailableNow
from wherry.serve.challengers import Challengers, RolloutSource
from wherry.serve.champions import Champions, Source
from wherry.serve.collect import CollectRoutes
from wherry.serve.direct import Turn
from wherry.serve.endpoints import ENDPOINTS
from wherry.serve.guard import ReadGuard
from wherry.serve.health import Health, Readiness
from wherry.serve.metrics import Metrics
from wherry.serve.openapi import openapi
from wherry.serve.precomputed import VisitorLookup
from wherry.serve.problem import problem_body
from wherry.serve.recommend import RecommendRoute
from wherry.serve.request import Limits
from wherry.serve.request_ids import RequestIds
from wherry.serve.session import LiveLookup, SessionFinder, SessionLookup
from wherry.serve.shadow import ShadowQueue
from wherry.serve.siblings import Siblings
from wherry.serve.taking import LoadedOnce, Loader, RuleSource
from wherry.serve.together import Together

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


_LOG_GRACE_SECONDS = 5.0
"""How long what waits for the log may take to be written once the server is to stop."""


def create_app(
    source: Source,
    load: Loader,
    *,
    limits: Limits | None = None,
    sessions: SessionLookup | None = None,
    live: LiveLookup | None = None,
    refresh_seconds: float = 1.0,
    collect: Callable[[Metrics], CollectRoutes] | None = None,
    answers: Callable[[Metrics], AnswerLog] | None = None,
    keys: Keys | None = None,
    visitors: VisitorLookup | None = None,
    siblings: Callable[[CollectorRegistry], Siblings] | None = None,
    rollouts: RolloutSource | None = None,
    availability: LiveAvailability | None = None,
    pages: ShownOnPages | None = None,
    rules: RuleSource | None = None,
    live_failures: Callable[[], int] = lambda: 0,
) -> ASGIApp:
    """Make the application.

    ``source`` says which release is each tenant's champion and is asked again every
    ``refresh_seconds``; ``load`` reads a release; ``sessions`` finds a published session by its
    id, and ``live`` the one that a visitor is in now.
    The first look at the champions is taken before the first request is. ``collect`` makes
    the routes by which events come in; without it there are none. ``answers`` makes the log
    of answers, which goes into the inbox of those routes. Once ``keys`` holds a read
    key, recommendations are for those who have one. ``visitors`` finds what was made beforehand
    for a visitor of whom no session is known. ``siblings`` finds the other workers of
    the same server, so that each can tell the figures of all. ``rollouts`` says what is tried
    beside the champions, and is asked as often. ``availability`` is what was told of items since
    their releases were made, ``pages`` what the carousels of each page have shown. ``rules`` says
    under which standing rules all of them answer, and is asked as often as ``source``; without it
    they keep those that they were loaded with. ``live_failures`` is how often what ``live``,
    ``availability`` and ``pages`` are kept in could not be used so far.
    """
    metrics = Metrics(live_failures)
    load = LoadedOnce(load)
    champions = Champions(source, load, metrics, rules=rules)
    challengers = Challengers(rollouts, load, metrics, rules=rules) if rollouts else None
    log = answers(metrics) if answers and collect else None
    shadows = ShadowQueue(metrics)
    available = AvailableNow(availability) if availability else None
    asking = Asking(metrics, log, shadows, available)
    answering = Answering(
        champions,
        limits=limits or Limits(),
        sessions=SessionFinder(live, sessions),
        asking=asking,
        guard=ReadGuard(keys) if keys is not None else None,
        challengers=challengers,
        visitors=visitors,
        pages=pages,
    )
    ids = RequestIds()
    routes = collect(metrics) if collect else None
    paths: dict[str, ASGIApp] = {ROUTE: RecommendRoute(answering, metrics, ids, available)}
    if routes and availability and available:
        paths[AVAILABILITY] = AvailabilityRoute(routes, champions, availability, available, metrics)
    others = siblings(metrics.registry) if siblings else None
    tried = _Tried(challengers, shadows) if challengers else None
    app = _assemble(paths, champions, routes, metrics, refresh_seconds, log, others, tried)
    together = Together(answering, asking, metrics, ids, available)
    app.direct[ROUTE.encode()] = Turn(together.answer)
    return app


class _Tried(NamedTuple):
    """What goes on beside the requests where rollouts are followed."""

    challengers: Challengers
    shadows: ShadowQueue


def create_collect_app(
    collect: Callable[[Metrics], CollectRoutes], *, live_failures: Callable[[], int] = lambda: 0
) -> ASGIApp:
    """Make an application that takes events in and recommends nothing."""
    metrics = Metrics(live_failures)
    return _assemble({}, None, collect(metrics), metrics)


def _assemble(
    hot: dict[str, ASGIApp],
    champions: Champions | None,
    collect: CollectRoutes | None,
    metrics: Metrics,
    refresh_seconds: float = 1.0,
    log: AnswerLog | None = None,
    siblings: Siblings | None = None,
    tried: _Tried | None = None,
) -> Application:
    if collect is not None:
        hot = {**hot, **dict.fromkeys(ENDPOINTS, collect)}
    rest = Starlette(
        routes=_routes(champions, collect, metrics, siblings, is_told=AVAILABILITY in hot),
        lifespan=_lifespan(champions, refresh_seconds, collect, log, siblings, tried),
        exception_handlers={HTTPException: _problem, 500: _failure},
    )
    return Application(hot, rest, metrics)


class Application:
    """Sends the hot routes past Starlette's layers, and counts what goes through them."""

    def __init__(self, hot: Mapping[str, ASGIApp], rest: Starlette, metrics: Metrics) -> None:
        self._hot = hot
        self._rest = rest
        self._metrics = metrics
        self.direct: dict[bytes, Turn] = {}
        """The paths whose requests may go the direct way, where the server has one."""
        self._paths = {route.path for route in rest.routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the start and stop of the server."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        hot = self._hot.get(scope["path"])
        if hot is not None:
            await hot(scope, receive, send)
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        route = scope["path"] if scope["path"] in self._paths else "other"
        try:
            await self._rest(scope, receive, watched)
        finally:
            self._metrics.answered(route, status, perf_counter() - started)


def _routes(
    champions: Champions | None,
    collect: CollectRoutes | None,
    metrics: Metrics,
    siblings: Siblings | None,
    *,
    is_told: bool,
) -> list[Route]:
    document = msgspec.json.encode(
        openapi(
            wherry.__version__,
            recommends=champions is not None,
            collects=collect is not None,
            is_told=is_told,
        )
    )
    page = (files("wherry.serve") / "docs.html").read_bytes()

    async def healthz(request: Request) -> Response:
        return _json(Health())

    async def readyz(request: Request) -> Response:
        if champions is None:
            return _json(Readiness(True, {}))
        readiness = Readiness(champions.is_ready, champions.statuses())
        return _json(readiness, 200 if readiness.is_ready else 503)

    async def figures(request: Request) -> Response:
        text = metrics.text() if siblings is None else await siblings.text()
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def description(request: Request) -> Response:
        return Response(document, media_type="application/json")

    async def docs(request: Request) -> Response:
        policy = {"content-security-policy": _CONTENT_POLICY}
        return Response(page, media_type="text/html", headers=policy)

    async def home(request: Request) -> Response:
        return RedirectResponse("/docs", status_code=307)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", figures),
        Route("/openapi.json", description),
        Route("/docs", docs),
        Route("/", home),
    ]


def _json(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _lifespan(
    champions: Champions | None,
    refresh_seconds: float,
    collect: CollectRoutes | None,
    log: AnswerLog | None,
    siblings: Siblings | None,
    tried: _Tried | None,
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if collect is not None:
            await collect.start()
            if log is not None:
                log.start(collect.inbox)
        beside: list[asyncio.Task[None]] = []
        if champions is not None:
            await asyncio.to_thread(champions.refresh)
            beside.append(asyncio.create_task(champions.watch(refresh_seconds)))
        if tried is not None:
            await asyncio.to_thread(tried.challengers.refresh)
            beside.append(asyncio.create_task(tried.challengers.watch(refresh_seconds)))
            beside.append(asyncio.create_task(tried.shadows.run()))
        if siblings is not None:
            await siblings.start()
        try:
            yield
        finally:
            if siblings is not None:
                await siblings.stop()
            for task in beside:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if log is not None:
                await log.stop(_LOG_GRACE_SECONDS)
            if collect is not None:
                await collect.stop()

    return lifespan


async def _problem(request: Request, error: Exception) -> Response:
    """A path or method that there isn't, as JSON."""
    assert isinstance(error, HTTPException)
    words = {404: f"There is no {request.url.path}; see /docs.", 405: "Use GET."}
    return Response(
        problem_body(words.get(error.status_code, error.detail)),
        error.status_code,
        media_type="application/json",
        headers=error.headers,
    )


async def _failure(request: Request, error: Exception) -> Response:
    """Starlette logs the error through the server and raises it again after this answer."""
    return Response(problem_body("The server failed."), 500, media_type="application/json")
