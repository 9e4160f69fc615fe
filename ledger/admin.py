"""Admin of the ledger: everything is seen, nothing is edited. Money moves through the API, the pages and `wallet`."""

from typing import ClassVar

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from billing_platform.admin_rules import ReadOnlyAdmin, column
from billing_platform.models import Role
from ledger.models import AdjustmentRequest, BillingAccount, CreditLot, Hold, LimitRequest, Seal, Transfer

READERS = frozenset({Role.FINANCE.value, Role.OPS.value, Role.PLATFORM_ADMIN.value})
ACCOUNT = column("account", _("account"))


class LedgerAdmin(ReadOnlyAdmin):
    readers: ClassVar[frozenset[str]] = READERS


@admin.register(BillingAccount)
class BillingAccountAdmin(LedgerAdmin):
    list_display = ("accno", "name", "kind", "organization", "currency", "balance", "held", "credit_limit", "state")
    list_filter = ("state", "kind", "currency")
    search_fields = ("accno", "name", "organization")


@admin.register(Transfer)
class TransferAdmin(LedgerAdmin):
    list_display = (
        "id", ACCOUNT, column("debit", _("debit")), column("credit", _("credit")), "amount", "currency", "cause_type",
        "cause_id", "created_at",
    )  # fmt: skip
    list_select_related = ("account", "debit", "credit")
    search_fields = ("=account__accno",)
    ordering = ("-id",)


@admin.register(Hold)
class HoldAdmin(LedgerAdmin):
    list_display = ("reference", ACCOUNT, "amount", "state", "expires_at", "created_at")
    list_select_related = ("account",)
    list_filter = ("state",)
    search_fields = ("=account__accno", "=reference")
    ordering = ("-id",)


@admin.register(CreditLot)
class CreditLotAdmin(LedgerAdmin):
    list_display = ("reference", ACCOUNT, "kind", "granted", "remaining", "priority", "expires_at")
    list_select_related = ("account",)
    list_filter = ("kind",)
    search_fields = ("=account__accno",)
    ordering = ("-id",)


@admin.register(AdjustmentRequest)
class AdjustmentRequestAdmin(LedgerAdmin):
    list_display = ("reference", ACCOUNT, "amount", "state", "requested_by", "decided_by", "created_at")
    list_select_related = ("account",)
    list_filter = ("state",)
    search_fields = ("=account__accno",)
    ordering = ("-id",)


@admin.register(LimitRequest)
class LimitRequestAdmin(LedgerAdmin):
    list_display = (
        ACCOUNT, "credit_limit", "warning_threshold", "state", "requested_by", "decided_by", "created_at",
    )  # fmt: skip
    list_select_related = ("account",)
    list_filter = ("state",)
    search_fields = ("=account__accno",)
    ordering = ("-id",)


@admin.register(Seal)
class SealAdmin(LedgerAdmin):
    list_display = ("day", "partition", "rows", "created_at")
    exclude = ("sha256",)
    ordering = ("-day",)
