"""The settings of a project: what ``wherry.toml`` may say, with defaults for all of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wherry.domain import CLICK_TYPES, EVENT_TYPES, PROTOCOL_TYPES, Params, Rule

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of ``wherry.toml``; a key that it does not know is an error, not ignored."""


class Field(Table, frozen=True):
    """How one field of the envelope is made from a row of the file: by exactly one of these.

    ``column`` takes a column as it is, ``sql`` computes it by a DuckDB expression over the
    file's columns (in a text file every column is text), ``value`` is the same for every row.
    ``values`` then renames what came out (``{transaction = "purchase"}``). ``unit`` (``s``,
    ``ms``, ``us``, ``ns``) says what a number that stands for a time counts, ``format`` how a
    time is written that is not ISO 8601 (``"%m/%d/%Y %H:%M"``). A file may lack the column
    when ``optional``: the field is then ``value``, or empty.
    """

    column: str | None = None
    sql: str | None = None
    value: str | None = None
    values: dict[str, str] = {}
    unit: Literal["s", "ms", "us", "ns"] | None = None
    format: str | None = None
    optional: bool = False


class Mapping(Table, frozen=True):
    """A column mapping under ``[imports.NAME]``: how the rows of a shop's file become events.

    A plain string stands for a column; names match whatever their case. ``event_type``,
    ``occurred_at`` and ``visitor_id`` (or ``session_id``) are required. ``tenant``,
    ``event_id``, ``received_at`` and ``query`` (what was searched for) are taken where they are
    given. One item stands in ``item_id``, ``price``, ``quantity``; several in ``items``, a list
    of objects with ``id``, ``price``, ``quantity``. ``properties`` and ``attributes`` take an
    object, or a list of columns that make one. Where rows also tell of their item, ``name``,
    ``category``, ``available`` and ``attributes`` add it to the catalogue. ``kind`` is
    ``"events"``, or ``"items"`` for a file that is a catalogue: ``item_id`` alone is then
    required, and ``attributes`` are by default all the columns that nothing else takes.
    ``aliases`` lists other names that a column may go by.
    """

    kind: Literal["events", "items"] = "events"
    aliases: dict[str, tuple[str, ...]] = {}
    tenant: str | Field | None = None
    event_id: str | Field | None = None
    event_type: str | Field | None = None
    occurred_at: str | Field | None = None
    received_at: str | Field | None = None
    visitor_id: str | Field | None = None
    session_id: str | Field | None = None
    item_id: str | Field | None = None
    price: str | Field | None = None
    quantity: str | Field | None = None
    items: str | Field | None = None
    query: str | Field | None = None
    properties: str | Field | tuple[str, ...] | None = None
    name: str | Field | None = None
    category: str | Field | None = None
    available: str | Field | None = None
    attributes: str | Field | tuple[str, ...] | None = None


class Source(Table, frozen=True):
    """A file that every ``wherry run`` looks at: ``[[sources]]``.

    ``import`` names a preset or a mapping of one's own; ``path`` may hold ``*`` and is
    relative to the project's folder. A file that was loaded before adds nothing.
    """

    preset: str = msgspec.field(name="import")
    path: str


class LakeSettings(Table, frozen=True):
    """``[lake]``: ``memory_limit`` such as ``"8GB"`` (empty: 80% of the memory), ``threads``
    (0: all cores).

    ``retention_days`` is how long an older snapshot can still be read. Every run lets go of
    those that are older and not published, and what was forgotten is gone from the last of
    them after as many days. With 0 runs keep all of them, and ``wherry forget`` lets go of all.
    """

    memory_limit: Annotated[str, Meta(pattern=r"^(\d+(\.\d+)? ?([KMGT]i?)?B)?$")] = ""
    threads: Whole = 0
    retention_days: Whole = 0


class Sessions(Table, frozen=True):
    """``[sessions]``: ``gap_minutes`` of idleness end a session that has no id of its own."""

    gap_minutes: Positive = 30.0


class Transform(Table, frozen=True):
    """``[transform]``: ``exclude_loads`` lists loads that staging leaves out, as if they had
    never come: the remedy for a bad file, since the log itself is never rewritten."""

    exclude_loads: tuple[int, ...] = ()


class Outcomes(Table, frozen=True):
    """``[outcomes]``: for ``attribution_minutes`` after an answer, what its visitor does to an
    item that it showed is its outcome. ``clicks`` lists the event types that are a click on it.
    A page that sends a ``click`` for every click on a list, and views also of items that were
    found otherwise, is told more exactly by ``["click"]``. The guard of releases counts by both
    settings, too."""

    attribution_minutes: Positive = 30.0
    clicks: Annotated[
        tuple[Literal["click", "view", "add", "purchase"], ...], Meta(min_length=1)
    ] = CLICK_TYPES


class Audit(Table, frozen=True):
    """``[audit]``: the bounds on the data. A bound of -1 switches its check off.

    ``min_events``: fewer events than this block. ``max_rejected_share``: of all rows
    that came in. ``event_types``: the words that may stand as an event's type; empty allows
    any. ``max_unknown_type_share``: of events with another type. ``volume_low`` and
    ``volume_high``: the newest whole day's events over the median of the ``trailing_days``
    before it. ``mean_session_length_low`` and ``mean_session_length_high``: events a session,
    per day, over the newest days.
    ``max_age_hours``: of the newest event, against the clock (-1: off, which history wants).
    ``max_unknown_item_share``: of interactions with an item that the catalogue does not hold
    (checked once there is a catalogue). ``max_gap_hours``: the longest run of hours with no
    event within the newest ``trailing_days``.
    """

    min_events: Whole = 1
    max_rejected_share: float = 0.05
    event_types: tuple[str, ...] = EVENT_TYPES + PROTOCOL_TYPES
    max_unknown_type_share: float = 0.05
    volume_low: float = 0.3
    volume_high: float = 5.0
    trailing_days: Count = 28
    mean_session_length_low: float = 1.0
    mean_session_length_high: float = 100.0
    max_age_hours: float = -1.0
    max_unknown_item_share: float = 0.2
    max_gap_hours: float = 24.0


class Slo(Table, frozen=True):
    """``[learn.slo]``: what a candidate must keep to be able to win, however good it is.

    ``p99_ms``: the p99 of one answer of 20 items, in processor time. ``memory_mb``: the model's
    files and what loading it and answering allocates. 0: no bound.
    """

    p99_ms: Annotated[float, Meta(ge=0.0)] = 20.0
    memory_mb: Annotated[float, Meta(ge=0.0)] = 0.0


class Search(Table, frozen=True):
    """``[learn.search]``: parameters are searched in the ranges that each model declares, beside
    the few sets that are tried without it. It needs ``pip install "wherry[search]"``.

    ``minutes`` is the budget of all candidates together on the clock (0: no search); one
    model tries ``trials`` sets at the most. Only the validation window is looked at. A search
    that was cut short goes on with the next run.
    """

    minutes: Annotated[float, Meta(ge=0.0)] = 0.0
    trials: Count = 200


class Content(Table, frozen=True):
    """``[learn.content]``: items of the catalogue with ``fewer_than`` interactions are recommended
    by their texts (name, category, attributes) until they have more (0: they are not).

    Where they stand in an answer is learned from the test window. ``places`` of an answer
    of ten items or more, the last, are kept for them where one is like the session and none stands
    further up (0: none, and a new item is shown only if new items were clicked before).
    """

    fewer_than: Whole = 5
    places: Whole = 1


class Learn(Table, frozen=True):
    """``[learn]``: which candidates are fitted, and on which windows they are judged.

    ``candidates`` are names of models, packaged or of the shop's own; ``params`` fixes
    parameters of theirs (``[learn.params.knn]``), the others are chosen. ``metric`` decides who
    wins: ``hr``, ``mrr`` or ``ndcg`` at a depth, such as ``"mrr@20"``. The same ``seed`` gives
    the same models. Sessions of fewer than ``min_session_length`` interactions are left out.
    The newest ``test_share`` of sessions are the test window, and the same share of
    the rest, from its tail, the validation window that parameters are chosen on.
    ``max_test_sessions`` and ``max_validation_sessions`` bound the sessions that are judged
    (a seeded sample of whole sessions, of 20,000 and 1,500 questions at the most; the ranking is
    always over all items). ``history_days``
    bounds how far back training looks (0: all). ``slo`` excludes what is too dear to serve;
    ``search`` chooses parameters more widely; ``content`` is about items without a history.
    ``workers``: candidates fitted at once
    (0: one a core).
    """

    candidates: Annotated[tuple[str, ...], Meta(min_length=1)] = ("popularity", "rules", "knn")
    test_share: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.1
    max_test_sessions: Count = 5_000
    max_validation_sessions: Count = 1_000
    history_days: Whole = 0
    min_session_length: Annotated[int, Meta(ge=1)] = 2
    metric: Annotated[str, Meta(pattern=r"^(hr|mrr|ndcg)@[1-9][0-9]*$")] = "mrr@20"
    seed: Whole = 1
    workers: Whole = 0
    params: dict[str, Params] = {}
    slo: Slo = Slo()
    search: Search = Search()
    content: Content = Content()


class Behave(Table, frozen=True):
    """``[behave]``: the bounds that a winner must keep before it is released.

    ``baseline``: the candidate whose interval must be beaten. ``margin``: how much worse than
    the champion, relatively, the whole may be, and ``slice_margin`` each slice; a loss beyond
    it blocks if it is also more than chance brings about. ``significance``: how often two equal
    models may be told apart, over all slices together. Slices of fewer
    than ``min_slice_sessions`` are shown and don't block. ``min_coverage``: share of the catalogue
    shown in the test window's answers. ``max_answer_ms``: p99 of one answer.
    ``hide_purchased``: an item just bought is not shown again.

    Sessions are sliced by what their events say under ``session_properties``, items by what the
    catalogue says under ``item_attributes``, where there is such a thing.

    Figures of character are shown, and bounded where a bound is set; lists of 20 items are
    meant. ``max_miss_difference``: of the share of misses between the parts of a dimension, such
    as countries, and the whole. ``min_miss_category``: of the misses, the share with the first
    item shown in the right category. ``max_miss_distance``: cosine distance of the first item
    shown from the right one, where it was missed. ``min_diversity``: mean distance between two
    items of an answer. ``max_price_ratio``: between the prices of a session and of its answer.
    ``min_novelty``: bits of surprise of an item shown. ``min_serendipity``: share of answers with
    the right item where it is neither popular nor known from the session. ``max_gini``: inequality
    of how often each item is shown. ``max_miscalibration``: divergence of an answer's categories
    from its session's. ``min_overlap_swapped``, ``min_overlap_dropped``,
    ``min_overlap_shuffled``: share of an answer that stays where the session's last item gives
    way to its like, an event is left out, or the order is lost.
    """

    baseline: str = "popularity"
    margin: Share = 0.02
    slice_margin: Share = 0.03
    significance: Annotated[float, Meta(gt=0.0, le=0.5)] = 0.04
    min_slice_sessions: Whole = 200
    min_coverage: Share = 0.01
    max_answer_ms: Positive = 20.0
    hide_purchased: bool = False
    session_properties: tuple[str, ...] = ("country", "device")
    item_attributes: tuple[str, ...] = ("brand",)
    max_miss_difference: Share | None = None
    min_miss_category: Share | None = None
    max_miss_distance: Positive | None = None
    min_diversity: Positive | None = None
    max_price_ratio: Positive | None = None
    min_novelty: Positive | None = None
    min_serendipity: Share | None = None
    max_gini: Share | None = None
    max_miscalibration: Positive | None = None
    min_overlap_swapped: Share | None = None
    min_overlap_dropped: Share | None = None
    min_overlap_shuffled: Share | None = None


class Registry(Table, frozen=True):
    """``[registry]``: the ``name`` of the registered model, and the MLflow ``tracking_uri``
    (empty: SQLite in ``.wherry/``)."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] = "recommender"
    tracking_uri: str = ""


class Release(Table, frozen=True):
    """``[release]``: what becomes of a run's winner, and when a release that is tried is stopped.

    ``mode``: the winner takes over at once (``champion``), or is tried first beside the champion:
    unseen (``shadow``), on a part of the visitors (``canary``), or on half of them to learn which
    is better (``ab``). ``share`` is that part (0: all in the shadow, 10% as a canary, half as ab).

    A challenger is stopped, and the champion answers all, once the guard is sure of one of these:
    its click-through is more than ``margin`` below the champion's, relatively (0.05: a twentieth);
    more than ``max_error_share`` of its visitors met an error of its; its p99 is above
    ``max_p99_ms`` and more of its answers are slower than that than of the champion's. It may be
    wrong about a release that is just as good with a chance of ``false_stops``, over the three
    together and however long it looks. ``effect`` is the relative difference of click-through that
    the test is sharpest for. Clicks are those within ``[outcomes] attribution_minutes``. The guard
    looks every ``guard_seconds`` (0: never, in this server).
    """

    mode: Literal["champion", "shadow", "canary", "ab"] = "champion"
    share: Share = 0.0
    margin: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    max_error_share: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.01
    max_p99_ms: Positive = 50.0
    false_stops: Annotated[float, Meta(gt=0.0, le=0.5)] = 0.05
    effect: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.2
    guard_seconds: Annotated[float, Meta(ge=0.0)] = 5.0


class Serve(Table, frozen=True):
    """``[serve]``: the server listens on ``host`` and ``port`` (0: any free one).

    An answer holds ``k`` items unless the request says otherwise, ``max_k`` at most, or
    ``max_explained`` if each comes with why it is there. Of a session the latest
    ``max_session_items`` are looked at. Every ``refresh_seconds`` the server looks for a new
    champion. Of the answers the share ``log_answers`` is logged (1: all, 0: none), drawn by
    request. ``workers`` processes answer on the one port (0: one for each core). Where there are
    several, ``spares`` more stand by, ready, to take the place of one that ends. What a page has
    shown is known for ``page_seconds`` after its last answer. ``rules`` are the shop's standing
    rules, ``[[serve.rules]]``, each with a name of its own and an ``action``;
    [serving](serve.md#rules) has them all.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    k: Count = 10
    max_k: Count = 100
    max_explained: Count = 20
    max_session_items: Count = 200
    refresh_seconds: Positive = 1.0
    workers: Annotated[int, Meta(ge=0, le=256)] = 1
    spares: Annotated[int, Meta(ge=0, le=16)] = 1
    log_answers: Share = 1.0
    page_seconds: Positive = 300.0
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        for place, name in enumerate(names):
            if not name:
                raise ValueError(f"rules[{place}] has no name; the log counts it by its name")
            if name in ("request", "page"):
                raise ValueError(f"a rule is named {name!r}, as those of requests are counted")
            if name in names[:place]:
                raise ValueError(f"two rules have the name {name!r}")


class Live(Table, frozen=True):
    """``[live]``: the state that all servers of a project share, such as the sessions of now.

    It takes ``max_mb`` megabytes on disk at the most, half of them for sessions; beyond that
    those sessions go first that were silent the longest. A session without an id of the shop's
    own is known until it has been idle for ``sessions.gap_minutes``, one with an id for
    ``given_session_hours``.
    """

    max_mb: Annotated[int, Meta(ge=8)] = 512
    given_session_hours: Positive = 24.0


class Collect(Table, frozen=True):
    """``[collect]``: how events are taken in over HTTP, by ``wherry serve`` and ``wherry collect``.

    ``fsync`` says when events are forced to disk: ``always`` (before they are acknowledged),
    every second (``interval``), or when the system likes (``never``). All three outlive a killed
    process, only the first a power cut. One request may hold ``max_body_bytes``, packed and
    unpacked, ``max_events``, ``max_items`` an event, and ``max_depth`` levels of nesting in an
    event's properties. All requests at once may hold ``max_held_bytes``; beyond it the
    server says 503. ``events_per_second`` bounds each key (0: no bound), and ``burst_seconds`` of
    them may come at once; beyond it the server says 429. ``recent_ids`` of events are remembered,
    to answer that one is known already; the load knows all of them. Pages of the origins in
    ``cors_origins`` may send from a browser (``"*"``: all pages). Of a client's ``address`` the
    network is kept (``truncated``), nothing (``dropped``) or all (``kept``); it is the last of
    ``X-Forwarded-For`` if the server stands ``behind_proxy``. Every ``load_every`` seconds a
    server loads what has come into the lake (0: only ``wherry run`` does).
    """

    fsync: Literal["always", "interval", "never"] = "always"
    max_body_bytes: Count = 4_000_000
    max_events: Count = 10_000
    max_items: Count = 1_000
    max_depth: Annotated[int, Meta(ge=1, le=100)] = 32
    max_held_bytes: Count = 64_000_000
    events_per_second: Annotated[float, Meta(ge=0.0)] = 0.0
    burst_seconds: Positive = 10.0
    recent_ids: Whole = 1_000_000
    cors_origins: tuple[str, ...] = ()
    address: Literal["truncated", "dropped", "kept"] = "truncated"
    behind_proxy: bool = False
    load_every: Annotated[float, Meta(ge=0.0)] = 0.0


class Work(Table, frozen=True):
    """``[work]``: how what can wait shares the machine with what answers.

    ``nice`` is how far ``wherry run``, ``import``, ``precompute``, ``reproduce``, ``skew`` and
    ``forget`` rank behind other processes for the processor, and so does what a server of several
    workers loads into the lake, and a worker that gets ready to stand by: the figure of nice(1), 0
    (not at all) to 19. It costs nothing where nobody else wants the processor.
    [Serving](serve.md) says how far that reaches where Linux shares processors among groups.
    """

    nice: Annotated[int, Meta(ge=0, le=19)] = 10


class Settings(Table, frozen=True):
    """All of ``wherry.toml``. ``shop`` names the project."""

    shop: str = "shop"
    sources: tuple[Source, ...] = ()
    imports: dict[str, Mapping] = {}
    lake: LakeSettings = LakeSettings()
    sessions: Sessions = Sessions()
    transform: Transform = Transform()
    outcomes: Outcomes = Outcomes()
    audit: Audit = Audit()
    learn: Learn = Learn()
    behave: Behave = Behave()
    registry: Registry = Registry()
    release: Release = Release()
    serve: Serve = Serve()
    live: Live = Live()
    collect: Collect = Collect()
    work: Work = Work()
