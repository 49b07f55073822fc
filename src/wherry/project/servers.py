"""The servers of a project: what they answer, take in and look after while they run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from starlette.types import ASGIApp

from wherry.collect import Loaded
from wherry.collect.inbox import After
from wherry.live.pages import ShownOnPages
from wherry.live.sessions import LiveSessions
from wherry.project.availability import AvailabilityCare
from wherry.project.collecting import collect_routes, utc_microseconds
from wherry.project.guarding import guarding
from wherry.project.intake import Loader, has_waiting, load_inbox
from wherry.project.live import Tending
from wherry.project.parts import Parts, say_nothing
from wherry.project.run import Reporter
from wherry.project.serving import SiblingsOf, serving_app
from wherry.project.workers import run_workers, worker_count
from wherry.serve import (
    CollectRoutes,
    Metrics,
    create_collect_app,
    listen,
    require_loopback,
    serve,
)


class Servers(Parts):
    """A project that answers over HTTP, and takes events in."""

    def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Answer over HTTP until told to stop, and take events in; new champions are taken up
        as they come. ``workers`` processes do so, one for each core if it is 0.

        Raises:
            UsageError: If no key is set and others than this machine could reach the host.
            WherryError: If the workers can't be started.
        """
        count = worker_count(self.settings.serve.workers if workers is None else workers)
        nice = self.settings.work.nice if count > 1 else 0
        with (
            self._loading("wherry serve", nice=nice),
            self._tending(self.live_sessions),
            guarding(self.guard(), self.settings.release.guard_seconds),
        ):
            if count == 1:
                self._listen(self.serving(), host, port, on_ready)
            else:
                with listen(*self._address(host, port)) as listener:
                    spares = self.settings.serve.spares
                    run_workers(self.home.root, listener, count, on_ready, spares=spares, nice=nice)

    def serving(self, siblings: SiblingsOf | None = None) -> ASGIApp:
        """The application that answers; ``siblings`` are a worker's, see :mod:`.worker`."""
        store = self.live_store
        return serving_app(
            self.home,
            self.settings,
            lake=self.lake,
            registry=self.registry,
            keys=self.keys,
            live=self.live_sessions,
            availability=self.live_availability,
            pages=ShownOnPages(store, keep_seconds=self.settings.serve.page_seconds),
            store=store,
            siblings=siblings,
        )

    def collect(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Take events in over HTTP until told to stop, and answer nothing else.

        Raises:
            UsageError: If no key is set and others than this machine could reach the host.
        """
        live, store = self.live_sessions, self.live_store
        app = create_collect_app(
            partial(self._collect_routes, name="collect", after=live.take),
            live_failures=lambda: store.failures,
        )
        with self._loading("wherry collect"), self._tending(live):
            self._listen(app, host, port, on_ready)

    def load(self, *, wait_seconds: float = 0.0, report: Reporter = say_nothing) -> list[Loaded]:
        """Load what waits in the inbox into the log, as every run does first."""
        with self.writing("wherry load", wait_seconds, report, is_brief=True):
            return load_inbox(self.home, self.settings, self.lake, self._clock(), report)

    def _loading(self, command: str, *, nice: int = 0) -> AbstractContextManager[object]:
        """Load what comes in every few seconds while the body runs, if the settings say so."""
        every = self.settings.collect.load_every
        if not every:
            return nullcontext()
        return Loader(
            lambda: self.writing(f"{command} (loading)", 0.0, say_nothing, is_brief=True),
            lambda: load_inbox(self.home, self.settings, self.lake, self._clock(), say_nothing),
            lambda: has_waiting(self.home.inbox),
            every_seconds=every,
            nice=nice,
        )

    def _listen(
        self,
        app: ASGIApp,
        host: str | None,
        port: int | None,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        host, port = self._address(host, port)
        serve(app, host=host, port=port, on_ready=on_ready)

    def _address(self, host: str | None, port: int | None) -> tuple[str, int]:
        settings = self.settings.serve
        host = settings.host if host is None else host
        if self.keys.is_open:
            require_loopback(host)
        return host, settings.port if port is None else port

    def _tending(self, live: LiveSessions) -> Tending:
        """Look after the live sessions while the body runs."""
        care = AvailabilityCare(
            self.live_availability,
            self.home,
            self.settings,
            self.lake,
            self.registry,
            utc_microseconds,
        )
        return Tending(live, self.home, self.settings, self.lake, utc_microseconds, also=care.tend)

    def _collect_routes(self, metrics: Metrics, *, name: str, after: After) -> CollectRoutes:
        """The routes by which events come in; ``name`` is that of this server's inbox, and
        ``after`` is told of what came."""
        settings = self.settings.collect
        return collect_routes(self.home, settings, self.keys, metrics, name=name, after=after)
