"""The inbox: where events are on disk before they are acknowledged, and until they are loaded."""

from wherry.collect.inbox.inbox import Fsync, Inbox, Receipt
from wherry.collect.inbox.page import Entry
from wherry.collect.inbox.store import Waiting, open_for_loading, read_waiting

__all__ = [
    "Entry",
    "Fsync",
    "Inbox",
    "Receipt",
    "Waiting",
    "open_for_loading",
    "read_waiting",
]
