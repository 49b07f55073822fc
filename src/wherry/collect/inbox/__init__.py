"""The inbox: where events are on disk before they are acknowledged, and until they are loaded."""

from wherry.collect.inbox.damage import (
    ask_to_mend,
    find_set_aside,
    keep_damaged,
    mend,
    open_whole,
    read_set_aside,
)
from wherry.collect.inbox.inbox import After, Fsync, Inbox, Receipt
from wherry.collect.inbox.owner import Ownership
from wherry.collect.inbox.page import (
    AnswerBatch,
    Damaged,
    Entry,
    answers_of,
    decode_page,
    events_of,
    pack_answer,
)
from wherry.collect.inbox.store import (
    Store,
    Waiting,
    is_damage,
    is_full,
    read_pages,
    read_waiting,
    store_paths,
)
from wherry.collect.inbox.waiting import read_waiting_events

__all__ = [
    "After",
    "AnswerBatch",
    "Damaged",
    "Entry",
    "Fsync",
    "Inbox",
    "Ownership",
    "Receipt",
    "Store",
    "Waiting",
    "answers_of",
    "ask_to_mend",
    "decode_page",
    "events_of",
    "find_set_aside",
    "is_damage",
    "is_full",
    "keep_damaged",
    "mend",
    "open_whole",
    "pack_answer",
    "read_pages",
    "read_set_aside",
    "read_waiting",
    "read_waiting_events",
    "store_paths",
]
