"""The route ``/v1/recommend`` through ASGI: whatever may be asked, whatever it has to wait for."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import perf_counter

import msgspec
from starlette.types import Receive, Scope, Send

from wherry.errors import UsageError
from wherry.learn.answer import Query
from wherry.serve.answering import ROUTE, Answering, Put, read_request, senseless
from wherry.serve.asking import Later, Told
from wherry.serve.available import AvailableNow
from wherry.serve.bodies import ClientGone
from wherry.serve.metrics import Metrics
from wherry.serve.problem import JSON_HEADERS, RequestError
from wherry.serve.reply import Reply, failure, refusal
from wherry.serve.request import RecommendRequest, how_many, of_carousel
from wherry.serve.request_ids import RequestIds

logger = logging.getLogger("wherry.serve")


class RecommendRoute:
    """Reads a request, asks the tenant's champion or what is tried beside it, writes the answer."""

    def __init__(
        self,
        answering: Answering,
        metrics: Metrics,
        ids: RequestIds,
        available: AvailableNow | None = None,
    ) -> None:
        self._answering = answering
        self._metrics = metrics
        self._ids = ids
        self._available = available

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes it fail."""
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._ids.of(headers.get(b"x-request-id"))
        later: Later | None = None
        try:
            method = scope["method"]
            query, owner = self._answering.admit(method, scope["query_string"], headers)
            content = await self._body(headers, receive) if method == "POST" else b""
            request = read_request(method, query, content, owner)
            body, later = await self._answer(request, request_id, started)
            reply = Reply(request_id, body)
        except ClientGone:
            return
        except RequestError as error:
            reply = refusal(error, request_id)
        except Exception:  # a model may be a user's own and raise anything
            logger.exception("Request %s can't be answered.", request_id)
            reply = failure(request_id)
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [
                    *JSON_HEADERS,
                    (b"content-length", str(len(reply.body)).encode()),
                    (b"x-request-id", request_id.encode()),
                    *reply.headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})
        self._metrics.answered(ROUTE, reply.status, perf_counter() - started)
        if later is not None:
            later()

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._answering.limits.max_body_bytes
        length = headers.get(b"content-length", b"0")
        body, more = b"", not (length.isdigit() and int(length[:20]) > limit)
        is_long = not more
        while more and not is_long:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            is_long = len(body) > limit
        if is_long:
            # What is left of the body is not read, so the connection can't be used again.
            raise RequestError(
                413, f"The body is longer than {limit} bytes.", headers=[(b"connection", b"close")]
            )
        return body

    async def _answer(
        self, request: RecommendRequest, request_id: str, began: float
    ) -> tuple[bytes, Later | None]:
        champion = self._answering.champion(request)
        session = await self._answering.sessions.find(request, champion.tenant)
        put = self._answering.put(
            request, request_id, champion, session, began=began, now=self._answering.clock()
        )
        return await self._carousels(put) if request.carousels else await self._list(put)

    async def _carousels(self, put: Put) -> tuple[bytes, Later | None]:
        """The answer to several carousels of a page, one after the other."""
        asked = put.asked
        for each in asked.request.carousels:  # all of them, or none
            how_many(of_carousel(asked.request, each), self._answering.limits)
        bodies: list[bytes] = []
        rest: list[Later] = []
        for each in asked.request.carousels:
            one = msgspec.structs.replace(
                asked,
                request_id=f"{asked.request_id}.{each.name}",
                request=of_carousel(asked.request, each),
                began=asked.began if not bodies else perf_counter(),
            )
            body, later = await self._list(msgspec.structs.replace(put, asked=one))
            bodies.append(b'{"name":"%b",%b' % (each.name.encode(), body[1:]))
            if later is not None:
                rest.append(later)
        whole = b'{"carousels":[%b],"request_id":"%b"}' % (
            b",".join(bodies),
            asked.request_id.encode(),
        )
        return whole, partial(_all, rest) if rest else None

    async def _list(self, put: Put) -> tuple[bytes, Later | None]:
        """The answer to one list."""
        query = self._answering.query(put)
        explained = await self._explained(put, query) if put.asked.request.explain else None
        return self._answering.answer(put, query, explained)

    async def _explained(self, put: Put, query: Query) -> Told | None:
        """The answer with why each item is there, None where the model fails to say so."""
        recommender, asked = put.choice.recommender, put.asked
        try:
            if self._available is not None:
                recommender = self._available.see(recommender)
            return await asyncio.to_thread(
                recommender.explain_json, query, request_id=asked.request_id, now=asked.now
            )
        except UsageError as error:
            raise senseless(error) from error
        except Exception:  # a model may be a user's own and explain itself wrongly
            logger.exception("Request %s is answered, but can't be explained.", asked.request_id)
            return None


def _all(rest: list[Later]) -> None:
    for later in rest:
        later()
