"""One page: what its carousels have shown is not shown again, whoever answers them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wherry.domain import TenantId
from wherry.domain.rule import Block
from wherry.learn.answer import Answer, Query
from wherry.live.pages import ShownOnPages
from wherry.serve.recommender import Recommender

PAGE_RULE = "page"
"""What the rule is called in the counts that hides what the page has shown."""

_TRIES = 5


class Page:
    """What one page has shown, as far as one request knows: for one answer after the other.

    Without ``pages`` it is this request's alone.
    """

    def __init__(
        self, tenant: TenantId, page_id: str | None, pages: ShownOnPages | None, now: int
    ) -> None:
        self._tenant = tenant
        self._page_id = page_id
        self._pages = pages if page_id is not None else None
        self._now = now
        self._tries = 0
        self.shown: list[str] = []
        if self._pages is not None and page_id is not None:
            self.shown = self._pages.of(tenant, page_id, now)

    def without_shown(self, query: Query) -> Query:
        """A query that does not ask for what the page has shown."""
        if not self.shown:
            return query
        others = [rule for rule in query.rules if rule.name != PAGE_RULE]
        block = Block(name=PAGE_RULE, items=tuple(self.shown))
        return msgspec.structs.replace(query, rules=[*others, block])

    def claim(self, recommender: Recommender, answer: Answer, query: Query) -> Query | None:
        """Note an answer as shown, and return None; or, where another request has shown other
        items on the page meanwhile, return what to ask instead."""
        ids = recommender.answerer.vocabulary.ids
        items = [ids[code] for code in answer.items.tolist()]
        taken = self._taken(items)
        if taken is None:
            self._tries = 0
            self.shown = [*self.shown, *items]
            return None
        self.shown = taken
        return self.without_shown(query)

    def _taken(self, items: Sequence[str]) -> list[str] | None:
        if self._pages is None or self._page_id is None:
            return None
        self._tries += 1
        if self._tries == _TRIES:  # so many at once: rather a repeat than no answer
            return None
        return self._pages.claim(self._tenant, self._page_id, items, self.shown, self._now)
