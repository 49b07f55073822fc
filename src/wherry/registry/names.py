"""What the registry's things are called, in MLflow as here."""

from __future__ import annotations

from wherry.domain import DEFAULT_TENANT, TenantId

CHAMPION = "champion"
"""The alias of the version that answers."""

CHALLENGER = "challenger"
"""The alias of the version that is tried beside it, as long as it is."""


def model_name(name: str, tenant: TenantId) -> str:
    """What a tenant's registered model is called: the bare name for the default tenant.

    >>> model_name("recommender", TenantId("north"))
    'recommender.north'
    """
    return name if tenant == DEFAULT_TENANT else f"{name}.{tenant}"
