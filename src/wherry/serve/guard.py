"""The guard of the recommendations: once a read key was made, only who has one is answered."""

from __future__ import annotations

import msgspec

from wherry.collect.keys import Keys
from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.serve.credentials import key_in_head
from wherry.serve.problem import RequestError
from wherry.serve.request import RecommendRequest


class ReadGuard:
    """Says whose recommendations a request may have: those of its key's tenant."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def owner(self, headers: dict[bytes, bytes], query: bytes) -> TenantId | None:
        """The tenant of the key that a request brings; None while no key is asked for.

        Raises:
            RequestError: 401 if it brings none, or one that is none.
        """
        if not self._keys.guards("read"):
            return None
        key = key_in_head(headers, query)
        tenant = self._keys.tenant_of(key, "read") if key else None
        if tenant is not None:
            return tenant
        words = "This read key is not known here, or was revoked." if key else "A key is needed."
        raise RequestError(
            401,
            f"{words} Send a read key as Authorization: Bearer KEY, X-API-Key: KEY or ?key=KEY.",
            headers=[(b"www-authenticate", b"Bearer")],
        )


def asked_by(request: RecommendRequest, owner: TenantId) -> RecommendRequest:
    """A request as its key's owner may make it; one that names no tenant is about the owner.

    Raises:
        RequestError: 403 if it is about another tenant.
    """
    if request.tenant == owner:
        return request
    if request.tenant != DEFAULT_TENANT:
        raise RequestError(403, "This key is another tenant's.", field="tenant")
    return msgspec.structs.replace(request, tenant=owner)
