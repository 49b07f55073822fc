"""Worker processes: several of them behind one socket, replaced where one ends."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from wherry.errors import WherryError
from wherry.serve.server import GRACE_SECONDS

logger = logging.getLogger("wherry.serve")

WARM, GO, READY = "warm", "go", "ready"
"""The lines between a worker and who started it: it says that it could answer, is told to, and
says that it does."""

STEADY_SECONDS = 10.0
"""A worker that lived so long is started anew at once when it ends."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker is started again that ended soon, and again; each twice the last."""

_SPARE_SECONDS = 5.0
_RANK_SECONDS = 0.1


class _Warm(msgspec.Struct, frozen=True):
    number: int


class _Ready(msgspec.Struct, frozen=True):
    number: int


class _Ended(msgspec.Struct, frozen=True):
    number: int
    code: int


class _Stop(msgspec.Struct, frozen=True):
    pass


_News = _Warm | _Ready | _Ended | _Stop


class _Worker(msgspec.Struct):
    """One of the processes: the one that runs now, and how often it ended soon after its start.

    It ``is_warm`` while it stands by, and ``is_answering`` from when it was told to. It
    ``is_behind`` while it ranks behind those that answer.
    """

    process: subprocess.Popen[str] | None = None
    watch: threading.Thread | None = None
    started: float = 0.0
    failures: int = 0
    due: float | None = None
    is_warm: bool = False
    is_answering: bool = False
    was_ready: bool = False
    is_behind: bool = False


class Workers:
    """Runs ``count`` workers until it is told to stop, by SIGTERM, SIGINT or :meth:`stop`.

    ``spares`` more are started after them and stand by: where a worker ends, one of them answers
    at once, and what is started anew stands by in its turn.

    ``command`` gives the command of worker ``number``, from 1 up. A worker inherits the
    ``descriptors``, writes :data:`WARM` to its standard output once it could answer, accepts
    nothing before it reads :data:`GO`, and then writes :data:`READY`. It ends on SIGTERM with what
    it was answering, and by itself when its standard input does: that is when this process has
    gone, however it went. ``on_end`` is told the number of each that has ended.

    ``rank`` lets a worker's process, by its id, rank behind others for the processor (True) or no
    longer, and returns whether that could be done now; it is asked again soon where it could not.
    So ranks one that gets ready while as many answer as should: it takes a second or two of a
    core, which those that answer need just then.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        count: int,
        *,
        spares: int = 0,
        descriptors: Sequence[int] = (),
        on_end: Callable[[int], None] = lambda number: None,
        rank: Callable[[int, bool], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._count = count
        self._spares = spares
        self._descriptors = tuple(descriptors)
        self._on_end = on_end
        self._rank = rank
        self._clock = clock
        self._workers = {number: _Worker() for number in range(1, count + 1)}
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()

    def stop(self) -> None:
        """Let :meth:`run` end; any thread, or a signal's handler, may call it."""
        self._news.put(_Stop())

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Start the workers and keep them running; ``on_ready`` is called once all are ready.

        Raises:
            WherryError: a worker ended that never was ready: something is wrong for each.
        """
        with self._signals():
            try:
                for number in self._workers:
                    self._start(number)
                self._follow(on_ready)
            finally:
                self._drain()

    def _follow(self, on_ready: Callable[[], None] | None) -> None:
        is_up = False
        while True:
            news = self._next()
            if isinstance(news, _Stop):
                return
            if isinstance(news, _Warm):
                self._workers[news.number].is_warm = True
            elif isinstance(news, _Ready):
                self._workers[news.number].was_ready = True
                if not is_up and all(worker.was_ready for worker in self._workers.values()):
                    is_up = True
                    if on_ready is not None:
                        on_ready()
                    self._start_spares()
            elif isinstance(news, _Ended):
                if not is_up and not self._workers[news.number].was_ready:
                    raise WherryError(
                        f"Worker {news.number} ended with code {news.code} before it took "
                        "requests; what it said is above."
                    )
                self._on_end(news.number)
                self._plan_start(news)
            self._fill()
            self._start_due()
            self._bring_forward()

    def _fill(self) -> None:
        """Let those that stand by answer, as far as there are too few that do."""
        for worker in self._workers.values():
            if self._are_enough():
                return
            if worker.is_warm and worker.process is not None:
                worker.is_warm, worker.is_answering = False, True
                assert worker.process.stdin is not None
                with contextlib.suppress(OSError):  # it has just ended, which will be told
                    worker.process.stdin.write(f"{GO}\n")
                    worker.process.stdin.flush()

    def _are_enough(self) -> bool:
        return sum(each.is_answering for each in self._workers.values()) >= self._count

    def _bring_forward(self) -> None:
        """Let those rank like others that are ready, or are needed."""
        for worker in self._workers.values():
            if worker.is_behind and worker.process is not None and self._is_needed(worker):
                worker.is_behind = not self._may_rank(worker.process.pid, False)

    def _is_needed(self, worker: _Worker) -> bool:
        return worker.is_warm or worker.is_answering or not self._are_enough()

    def _may_rank(self, pid: int, is_behind: bool) -> bool:
        return self._rank is not None and self._rank(pid, is_behind)

    def _start_spares(self) -> None:
        for number in range(self._count + 1, self._count + self._spares + 1):
            self._workers[number] = _Worker()
            self._start(number)

    def _next(self) -> _News | None:
        """What happens next, or None when a worker is to be started or ranked."""
        dues = [worker.due for worker in self._workers.values() if worker.due is not None]
        if any(each.is_behind and self._is_needed(each) for each in self._workers.values()):
            dues.append(self._clock() + _RANK_SECONDS)
        wait = max(0.0, min(dues) - self._clock()) if dues else None
        try:
            return self._news.get(timeout=wait)
        except queue.Empty:
            return None

    def _plan_start(self, ended: _Ended) -> None:
        worker, now = self._workers[ended.number], self._clock()
        if now - worker.started >= STEADY_SECONDS:
            worker.failures = 0
        pause = pause_after(worker.failures)
        worker.failures += 1
        worker.process, worker.due = None, now + pause
        worker.is_warm = worker.is_answering = worker.is_behind = False
        logger.error(
            "Worker %d ended with code %d; it is started again in %.1f s.",
            ended.number,
            ended.code,
            pause,
        )

    def _start_due(self) -> None:
        now = self._clock()
        for number, worker in self._workers.items():
            if worker.due is not None and worker.due <= now:
                self._start(number)

    def _start(self, number: int) -> None:
        process = subprocess.Popen(
            self._command(number),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=self._descriptors,
            start_new_session=True,  # a Ctrl-C in the terminal is this process' to pass on
        )
        worker = self._workers[number]
        worker.process, worker.started, worker.due = process, self._clock(), None
        worker.is_behind = self._are_enough() and self._may_rank(process.pid, True)
        worker.watch = threading.Thread(target=self._watch, args=(number, process), daemon=True)
        worker.watch.start()

    def _watch(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process:  # which closes both pipes and waits
            for line in process.stdout:
                if line.strip() == WARM:
                    self._news.put(_Warm(number))
                elif line.strip() == READY:
                    self._news.put(_Ready(number))
        self._news.put(_Ended(number, process.returncode))

    def _drain(self) -> None:
        """End all workers: each finishes what it is answering, and is killed if it hangs."""
        running = [each.process for each in self._workers.values() if each.process is not None]
        for process in running:
            process.terminate()
        until = self._clock() + GRACE_SECONDS + _SPARE_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, until - self._clock()))
            except subprocess.TimeoutExpired:
                logger.error("Worker process %d did not end in time and was killed.", process.pid)
                process.kill()
                process.wait()
        for worker in self._workers.values():
            if worker.watch is not None:
                worker.watch.join()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = (signal.SIGINT, signal.SIGTERM)
        before = {name: signal.signal(name, lambda *_: self.stop()) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def pause_after(failures: int) -> float:
    """Seconds before a worker is started again that has ended soon so often in a row."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)) if failures else 0.0
