"""Tables of the counter, by noun."""

from counter.models.catalogue import (
    AccountService,
    QuotaUse,
    ResourceChange,
    ResourceUsage,
    ServiceItem,
    ServicePrice,
    UnitPack,
)
from counter.models.tenants import AccountBinding, Application, DirectoryGeneration, Organization
from counter.models.uses import DefaultRateNotice, PackDraw, ReplacedCharge, ServiceRecord

__all__ = [
    "AccountBinding",
    "AccountService",
    "Application",
    "DefaultRateNotice",
    "DirectoryGeneration",
    "Organization",
    "PackDraw",
    "QuotaUse",
    "ReplacedCharge",
    "ResourceChange",
    "ResourceUsage",
    "ServiceItem",
    "ServicePrice",
    "ServiceRecord",
    "UnitPack",
]
