"""Accounts, transfers, holds, seals. Transfers, their keys, resolutions and seals are append-only by trigger.

Amounts are NUMERIC(20,6) in the row's currency. `balance` and `held` are projections, written by posting and holds.
"""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

AMOUNT_LIMIT = Decimal(10) ** 12


def amount_field(label: "str | Promise", **options: object) -> "models.DecimalField[Decimal, Decimal]":
    """An amount: 20 digits, 6 decimals."""
    return models.DecimalField(label, max_digits=20, decimal_places=6, **options)  # type: ignore[arg-type]


class LedgerAccount(models.Model):
    """One side of transfers: a wallet, or a system account whose balance is a sum."""

    class Kind(models.TextChoices):
        WALLET = "wallet", _("wallet")
        REVENUE = "revenue", _("revenue")
        SETTLEMENT = "settlement", _("money received")
        PROMOTION = "promotion", _("promotion")
        REFUND = "refund", _("refund")
        ADJUSTMENT = "adjustment", _("adjustment")
        OVERRUN = "overrun", _("overrun")
        CLEARING = "clearing", _("clearing")

    code = models.CharField(_("code"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    currency = models.CharField(_("currency"), max_length=3)

    class Meta:
        verbose_name, verbose_name_plural = _("ledger account"), _("ledger accounts")

    def __str__(self) -> str:
        return self.code


class BillingAccount(models.Model):
    """A customer's account (计费账户) with its wallet. `organization` is a code, `owner` a user id, "" when none."""

    class Kind(models.TextChoices):
        PERSONAL = "personal", _("personal")
        COMPANY = "company", _("company")

    class State(models.TextChoices):
        ACTIVE = "active", pgettext_lazy("account", "active")
        OVERDRAWN = "overdrawn", _("overdrawn")
        SUSPENDED = "suspended", _("suspended")
        CLOSED = "closed", _("closed")

    TRANSITIONS = {
        State.ACTIVE: frozenset({State.OVERDRAWN, State.SUSPENDED, State.CLOSED}),
        State.OVERDRAWN: frozenset({State.ACTIVE, State.SUSPENDED, State.CLOSED}),
        State.SUSPENDED: frozenset({State.ACTIVE, State.OVERDRAWN, State.CLOSED}),
        State.CLOSED: frozenset[str](),
    }

    accno = models.CharField(_("account number"), max_length=20, unique=True)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=200)
    owner = models.CharField(_("owner"), max_length=64, blank=True)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("parent")
    )
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    balance = amount_field(_("balance"), default=Decimal(0))
    held = amount_field(_("held"), default=Decimal(0))
    credit_limit = amount_field(_("credit limit"), default=Decimal(0))
    warning_threshold = amount_field(_("warning threshold"), default=Decimal(0))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    has_lots = models.BooleanField(_("has credit that expires"), default=False)
    wallet = models.OneToOneField(LedgerAccount, models.PROTECT, related_name="+", verbose_name=_("wallet"))
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("billing account"), _("billing accounts")
        constraints = [
            models.CheckConstraint(
                condition=Q(balance__gt=-AMOUNT_LIMIT, balance__lt=AMOUNT_LIMIT), name="account_balance_bounded"
            ),
            models.CheckConstraint(condition=Q(held__gte=0, held__lt=AMOUNT_LIMIT), name="account_held_bounded"),
            models.CheckConstraint(
                condition=Q(credit_limit__gte=0, credit_limit__lt=AMOUNT_LIMIT), name="account_credit_bounded"
            ),
            models.UniqueConstraint(fields=["owner"], condition=Q(kind="personal"), name="account_one_personal"),
            models.UniqueConstraint(
                fields=["owner", "name"], condition=Q(kind="company"), name="account_company_by_name"
            ),
        ]
        indexes = [models.Index(fields=["organization"], name="account_by_organization")]

    def __str__(self) -> str:
        return f"{self.accno} {self.name}"


class Transfer(models.Model):
    """Money from one ledger account (`debit`) to another (`credit`). Partitioned by month of `created_at`."""

    account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    debit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    credit = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    amount = amount_field(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    cause_type = models.CharField(_("cause"), max_length=20)
    cause_id = models.CharField(_("cause id"), max_length=160)
    cause_leg = models.CharField(_("part of the cause"), max_length=40, blank=True)
    reverses = models.BigIntegerField(_("reverses"), null=True)
    room_after = amount_field(_("room after payment"), null=True)
    effective_at = models.DateTimeField(_("effective"))
    created_at = models.DateTimeField(_("created"), db_default=Now())
    memo = models.CharField(_("memo"), max_length=512, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("transfer"), _("transfers")

    def __str__(self) -> str:
        return f"{self.id}: {self.amount} {self.currency}"


class TransferKey(models.Model):
    """One business cause, one transfer: the last line of defence against doubles. Not partitioned."""

    pk = models.CompositePrimaryKey("cause_type", "cause_id", "cause_leg")
    cause_type = models.CharField(max_length=20)
    cause_id = models.CharField(max_length=160)
    cause_leg = models.CharField(max_length=40)
    transfer_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.cause_type}:{self.cause_id}:{self.cause_leg}"


class CreditLot(models.Model):
    """Granted or expiring money beside the base money of a wallet; drawn by priority, kind, expiry, age."""

    class Kind(models.TextChoices):
        PAID = "paid", _("paid")
        GIFT = "gift", _("gift")
        PROMOTION = "promotion", _("promotion")

    account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="+")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    granted = amount_field(_("granted"))
    remaining = amount_field(_("remaining"))
    expires_at = models.DateTimeField(_("expires"), null=True)
    priority = models.SmallIntegerField(_("priority"), default=50)
    reference = models.CharField(_("reference"), max_length=128)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(granted__gt=0, granted__lt=AMOUNT_LIMIT), name="lot_granted_bounded"),
            models.CheckConstraint(condition=Q(remaining__gte=0, remaining__lte=F("granted")), name="lot_remaining"),
            models.UniqueConstraint(fields=["account", "reference"], name="lot_reference_once"),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(remaining__gt=0), name="lot_live"),
            models.Index(fields=["expires_at"], condition=Q(remaining__gt=0), name="lot_expiring"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.remaining} of {self.granted}"


class LotConsumption(models.Model):
    """How much of a transfer came from (negative: went back to) a lot; what no row names came from the base money."""

    lot = models.ForeignKey(CreditLot, models.PROTECT, related_name="+")
    transfer_id = models.BigIntegerField(db_index=True)
    amount = amount_field(_("amount"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lot", "transfer_id"], name="lot_consumption_once")]

    def __str__(self) -> str:
        return f"{self.amount} of lot {self.lot_id}"


class Hold(models.Model):
    """Money set aside for a use that has begun. `room_after` proves that it fitted when it was placed."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        CAPTURED = "captured", _("captured")
        RELEASED = "released", _("released")
        EXPIRED = "expired", _("expired")

    TRANSITIONS = {
        State.OPEN: frozenset({State.CAPTURED, State.RELEASED, State.EXPIRED}),
        State.CAPTURED: frozenset[str](),
        State.RELEASED: frozenset[str](),
        State.EXPIRED: frozenset[str](),
    }

    account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="+")
    amount = amount_field(_("amount"))
    room_after = amount_field(_("room after placing"))
    reference = models.CharField(_("reference"), max_length=200)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    expires_at = models.DateTimeField(_("expires"))
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("hold"), _("holds")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, amount__lt=AMOUNT_LIMIT), name="hold_amount_bounded"),
            models.CheckConstraint(condition=Q(room_after__gte=0), name="hold_fitted"),
            models.UniqueConstraint(fields=["account", "reference"], name="hold_reference_once"),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=Q(state="open"), name="hold_expiring")]

    def __str__(self) -> str:
        return f"{self.reference}: {self.amount}"


class HoldResolution(models.Model):
    """The one end of a hold."""

    hold = models.OneToOneField(Hold, models.PROTECT, primary_key=True, related_name="+")
    outcome = models.CharField(_("outcome"), max_length=8, choices=Hold.State.choices)
    cause = models.CharField(_("cause"), max_length=200)
    resolved_at = models.DateTimeField(_("resolved"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("hold resolution"), _("hold resolutions")

    def __str__(self) -> str:
        return f"{self.hold_id} {self.outcome}"


class AdjustmentRequest(models.Model):
    """An adjustment above the limit of one person: posted when somebody else approves it, once."""

    class State(models.TextChoices):
        PENDING = "pending", _("waiting for approval")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    TRANSITIONS = {
        State.PENDING: frozenset({State.APPROVED, State.REJECTED}),
        State.APPROVED: frozenset[str](),
        State.REJECTED: frozenset[str](),
    }

    account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="+", verbose_name=_("billing account"))
    amount = amount_field(_("amount"))
    reference = models.CharField(_("reference"), max_length=128)
    reason = models.CharField(_("reason"), max_length=300)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING)
    requested_by = models.CharField(_("requested by"), max_length=80)
    decided_by = models.CharField(_("decided by"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("adjustment request"), _("adjustment requests")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=-AMOUNT_LIMIT, amount__lt=AMOUNT_LIMIT) & ~Q(amount=0),
                name="adjustment_amount_bounded",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("requested_by")), name="adjustment_two_people"
            ),
            models.UniqueConstraint(fields=["account", "reference"], name="adjustment_reference_once"),
        ]

    def __str__(self) -> str:
        return f"{self.reference}: {self.amount}"


class LimitRequest(models.Model):
    """A higher credit limit than one person may give: set when somebody else approves it. One waits at a time."""

    State, TRANSITIONS = AdjustmentRequest.State, AdjustmentRequest.TRANSITIONS

    account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="+", verbose_name=_("billing account"))
    credit_limit = amount_field(_("credit limit"))
    warning_threshold = amount_field(_("warning threshold"))
    reason = models.CharField(_("reason"), max_length=300)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING)
    requested_by = models.CharField(_("requested by"), max_length=80)
    decided_by = models.CharField(_("decided by"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("request for other limits"), _("requests for other limits")
        constraints = [
            models.CheckConstraint(
                condition=Q(credit_limit__gte=0, credit_limit__lt=AMOUNT_LIMIT, warning_threshold__gte=0)
                & Q(warning_threshold__lt=AMOUNT_LIMIT),
                name="limit_request_bounded",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("requested_by")), name="limit_request_two_people"
            ),
            models.UniqueConstraint(fields=["account"], condition=Q(state="pending"), name="limit_request_one_waits"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.credit_limit}, {self.warning_threshold}"


class Seal(models.Model):
    """Evidence that a day's transfers were not touched afterwards; chained to the seal before it."""

    day = models.DateField(_("day"), unique=True)
    partition = models.CharField(_("partition"), max_length=63)
    rows = models.BigIntegerField(_("rows"))
    sums = models.JSONField(_("sum per currency"))
    sha256 = models.BinaryField(max_length=32)
    previous = models.OneToOneField("self", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("seal"), _("seals")

    def __str__(self) -> str:
        return f"{self.day} {self.rows}"
