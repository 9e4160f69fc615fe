"""Uses of services: the record of each, charges that were replaced, units drawn, notices of the default rate."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from counter.models.catalogue import ServiceItem, UnitPack
from counter.models.fields import LIMIT, account_field, decimal_field


class ServiceRecord(models.Model):
    """One use of a service: its key, its content, what it cost and why. (item, providerno) is unique.

    `content` is the canonical request that a repeat is compared with, and the question that re-rating asks again;
    `explanation` is JSON text. Both are written by metering only.
    """

    class State(models.TextChoices):
        STARTED = "started", pgettext_lazy("use", "started")
        ENDED = "ended", _("ended")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")
        REFUSED = "refused", _("refused")

    TRANSITIONS = {
        State.STARTED: frozenset({State.ENDED, State.CANCELLED, State.EXPIRED}),
        State.CANCELLED: frozenset({State.ENDED}),
        State.EXPIRED: frozenset({State.ENDED}),
        State.REFUSED: frozenset({State.ENDED}),
        State.ENDED: frozenset[str](),
    }

    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    providerno = models.CharField(_("provider's number"), max_length=128)
    account = account_field(db_index=False, db_constraint=False)
    state = models.CharField(_("state"), max_length=9, choices=State.choices)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    application = models.CharField(_("application"), max_length=64, blank=True)
    summary = models.CharField(_("summary"), max_length=512, blank=True)
    record_ref = models.CharField(_("call record"), max_length=64, blank=True)
    start_at = models.DateTimeField(_("start"))
    finish_at = models.DateTimeField(_("finish"), null=True)
    count = models.PositiveIntegerField(_("count"), default=1)
    created_at = models.DateTimeField(_("created"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    # the outcome of StartService
    started_as = models.CharField(max_length=128, db_default="")  # its first providerno, where the end named another
    start_content = models.TextField(null=True)  # noqa: DJ001  null: never started
    start_answer = models.JSONField(null=True)
    expires_at = models.DateTimeField(_("expires"), null=True)
    hold_id = models.BigIntegerField(null=True)
    refusal = models.CharField(_("refusal"), max_length=40, blank=True)
    # the charge in force
    content = models.TextField(blank=True)
    cost = decimal_field(_("cost"), default=Decimal(0))
    currency = models.CharField(_("currency"), max_length=3)
    charged_seconds = models.PositiveIntegerField(_("charged seconds"), default=0)
    charged_count = decimal_field(_("charged count"), default=Decimal(0))
    pack_units = decimal_field(_("package units"), default=Decimal(0))
    deck_version = models.CharField(_("deck version"), max_length=100, blank=True)
    warnings = models.CharField(_("warnings"), max_length=200, blank=True)
    explanation = models.TextField(blank=True)
    estimated = models.BooleanField(_("estimated"), default=False)
    transfer_id = models.BigIntegerField(_("transfer"), null=True)
    # what the call cost us; null: nobody knows
    supplier_cost = models.DecimalField(_("supplier's cost"), max_digits=20, decimal_places=6, null=True)
    supplier_deck_version = models.CharField(_("supplier's deck version"), max_length=100, blank=True, db_default="")

    class Meta:
        verbose_name, verbose_name_plural = _("service record"), _("service records")
        constraints = [
            models.UniqueConstraint(fields=["item", "providerno"], name="use_once"),
            models.CheckConstraint(condition=Q(cost__gte=0, cost__lt=LIMIT), name="use_cost_bounded"),
            models.CheckConstraint(
                condition=~Q(state="ended") | Q(cost=0) | Q(transfer_id__isnull=False), name="use_cost_posted"
            ),
            models.CheckConstraint(
                condition=Q(supplier_cost__isnull=True) | Q(supplier_cost__gte=0, supplier_cost__lt=LIMIT),
                name="use_supplier_cost_bounded",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="started"), name="use_expiring"),
            models.Index(fields=["item", "started_as"], condition=~Q(started_as=""), name="use_by_first_key"),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} {self.providerno}"


class ReplacedCharge(models.Model):
    """A charge that was reversed because a truer one came: an estimate, a correction, a re-rating."""

    record = models.ForeignKey(ServiceRecord, models.PROTECT, related_name="+")
    cause = models.CharField(max_length=80)
    content = models.TextField()
    cost = decimal_field("cost")
    charged_seconds = models.PositiveIntegerField()
    deck_version = models.CharField(max_length=100, blank=True)
    warnings = models.CharField(max_length=200, blank=True)
    explanation = models.TextField(blank=True)
    transfer_id = models.BigIntegerField(null=True)
    reversal_id = models.BigIntegerField(null=True)
    replaced_by_content = models.TextField()
    replaced_at = models.DateTimeField()
    supplier_cost = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    supplier_deck_version = models.CharField(max_length=100, blank=True, db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "cause"], name="replacement_once")]

    def __str__(self) -> str:
        return f"{self.record_id} {self.cause}"


class PackDraw(models.Model):
    """Units that a use reserved (`drawn` false) or drew from a pack."""

    record = models.ForeignKey(ServiceRecord, models.PROTECT, related_name="+")
    pack = models.ForeignKey(UnitPack, models.PROTECT, related_name="+")
    units = decimal_field("units")
    drawn = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "pack"], name="pack_draw_once")]

    def __str__(self) -> str:
        return f"{self.record_id} {self.units}"


class DefaultRateNotice(models.Model):
    """How often an account's numbers of one head were priced by the default deck on a day."""

    organization = models.CharField(max_length=64)
    accno = models.CharField(max_length=20)
    head = models.CharField(max_length=8)
    day = models.DateField()
    uses = models.PositiveIntegerField()

    class Meta:
        verbose_name, verbose_name_plural = _("use of the default rate"), _("uses of the default rate")
        constraints = [
            models.UniqueConstraint(fields=["organization", "accno", "head", "day"], name="default_rate_notice_once")
        ]

    def __str__(self) -> str:
        return f"{self.accno} {self.head} {self.day}: {self.uses}"
