"""Organisations and bindings, service items and openings, resources, packs, and the service record of every use.

Amounts NUMERIC(20,6) in the item's currency; instants UTC; periods are half open [from, until).
"""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LIMIT = Decimal(10) ** 12


def _decimal(label: "str | Promise", **options: object) -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(label, max_digits=20, decimal_places=6, **options)  # type: ignore[arg-type]


def _account(**options: object) -> "models.ForeignKey[models.Model, models.Model]":
    return models.ForeignKey("ledger.BillingAccount", models.PROTECT, related_name="+", **options)  # type: ignore[arg-type]


class Organization(models.Model):
    """A tenant; other rooms name it by its code."""

    code = models.CharField(_("code"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=200)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("parent")
    )
    zone = models.CharField(_("time zone"), max_length=64, default="Asia/Shanghai")
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("organisation"), _("organisations")

    def __str__(self) -> str:
        return self.name


class Application(models.Model):
    """A program that organisations use services through."""

    code = models.CharField(_("application id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        verbose_name, verbose_name_plural = _("application"), _("applications")

    def __str__(self) -> str:
        return self.name


class AccountBinding(models.Model):
    """Which account pays for an organisation (in one application, or in all), from when until when."""

    account = _account(verbose_name=_("account"))
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", verbose_name=_("organisation"))
    application = models.ForeignKey(
        Application, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("application")
    )
    valid_from = models.DateTimeField(_("from"), db_default=Now())
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("account binding"), _("account bindings")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")), name="binding_period"
            ),
            models.UniqueConstraint(
                fields=["organization", "application"],
                condition=Q(valid_until__isnull=True),
                nulls_distinct=False,
                name="binding_one_open",
            ),
        ]
        indexes = [models.Index(fields=["organization", "application", "-valid_from"], name="binding_by_organization")]

    def __str__(self) -> str:
        return f"{self.organization_id} -> {self.account_id}"


class ServiceItem(models.Model):
    """A service that is sold by use (服务项目). `label` is its public id."""

    class Mode(models.TextChoices):
        PER_USE = "per_use", _("per use")
        PER_DURATION = "per_duration", _("per duration")
        BY_DECK = "by_deck", _("by rate deck")
        RESOURCE = "resource", _("resource occupancy")

    class OnExpire(models.TextChoices):
        RELEASE = "release", _("release the hold")
        CHARGE = "charge", _("charge until the expiry")

    class Legs(models.TextChoices):
        B = "b", _("customer's leg")
        A = "a", _("agent's leg")
        BOTH = "both", _("both legs")

    label = models.CharField(_("label"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=200)
    mode = models.CharField(_("charge mode"), max_length=12, choices=Mode.choices)
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    enabled = models.BooleanField(_("enabled"), default=True)
    is_application = models.BooleanField(_("entry ticket of an application"), default=False)
    legs = models.CharField(_("charged legs"), max_length=4, choices=Legs.choices, default=Legs.B)
    on_expire = models.CharField(_("on expiry"), max_length=8, choices=OnExpire.choices, default=OnExpire.RELEASE)
    hold_seconds = models.PositiveIntegerField(_("hold window (s)"), default=600)
    keep_seconds = models.PositiveIntegerField(_("keep interval (s)"), default=600)
    max_seconds = models.PositiveIntegerField(_("longest call (s)"), default=7200)
    min_seconds = models.PositiveIntegerField(_("least charged (s)"), default=0)
    unit_seconds = models.PositiveIntegerField(_("unit of the count (s)"), default=60)
    rounding = models.CharField(
        _("rounding"), max_length=9, default="half_up", choices=[(m, m) for m in ("up", "half_up", "half_even", "down")]
    )
    decimals = models.PositiveSmallIntegerField(_("decimals"), default=4)
    quota = models.DecimalField(_("quota per month"), max_digits=20, decimal_places=6, null=True, blank=True)
    limits = models.PositiveIntegerField(_("limit of occupancy (0 = none)"), default=0)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("service item"), _("service items")
        constraints = [
            models.CheckConstraint(condition=Q(decimals__lte=6), name="item_decimals"),
            models.CheckConstraint(condition=Q(unit_seconds__gte=1, hold_seconds__gte=1), name="item_seconds"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"


class ServicePrice(models.Model):
    """A price version of an item; the one in force when a use starts applies to it."""

    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+", verbose_name=_("service item"))
    effective_from = models.DateTimeField(_("effective from"))
    price = _decimal(_("price"))
    connect_fee = _decimal(_("connect fee"), default=Decimal(0))
    increment = models.PositiveIntegerField(_("increment (s)"), default=60)

    class Meta:
        verbose_name, verbose_name_plural = _("price"), _("prices")
        constraints = [
            models.UniqueConstraint(fields=["item", "effective_from"], name="price_once"),
            models.CheckConstraint(
                condition=Q(price__gte=0, price__lt=LIMIT, connect_fee__gte=0, connect_fee__lt=LIMIT, increment__gte=1),
                name="price_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} {self.price} from {self.effective_from}"


class AccountService(models.Model):
    """An opening: the account may use the item in [opened_at, closed_at), perhaps at a price or limit of its own."""

    account = _account(verbose_name=_("account"))
    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+", verbose_name=_("service item"))
    opened_at = models.DateTimeField(_("opened"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    price = models.DecimalField(_("own price"), max_digits=20, decimal_places=6, null=True, blank=True)
    quota = models.DecimalField(_("own quota per month"), max_digits=20, decimal_places=6, null=True, blank=True)
    limits = models.PositiveIntegerField(_("own limit (0 = none)"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("opening"), _("openings")
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gt=F("opened_at")), name="opening_period"
            ),
            models.CheckConstraint(
                condition=Q(price__isnull=True) | Q(price__gte=0, price__lt=LIMIT), name="opening_price_bounded"
            ),
            models.UniqueConstraint(
                fields=["account", "item"], condition=Q(closed_at__isnull=True), name="opening_one_open"
            ),
        ]
        indexes = [models.Index(fields=["account", "item", "-opened_at"], name="opening_by_account")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.item_id}"


class QuotaUse(models.Model):
    """What an account used of an item in a month (of the organisation's zone); kept only where a quota is set."""

    account = _account()
    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+")
    month = models.DateField()
    used = _decimal("used", default=Decimal(0))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "item", "month"], name="quota_use_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.item_id} {self.month}: {self.used}"


class ResourceUsage(models.Model):
    """How many units of a resource item an account occupies now."""

    account = _account()
    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+")
    usage = models.PositiveIntegerField(_("in use"), default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("resource usage"), _("resource usages")
        constraints = [models.UniqueConstraint(fields=["account", "item"], name="resource_usage_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.item_id}: {self.usage}"


class ResourceChange(models.Model):
    """One change of an occupancy; the orders' jobs bill unit-hours from these rows."""

    usage = models.ForeignKey(ResourceUsage, models.PROTECT, related_name="+")
    before = models.PositiveIntegerField()
    after = models.PositiveIntegerField()
    actor = models.CharField(max_length=80, blank=True)
    request_id = models.CharField(max_length=128, null=True)  # noqa: DJ001  null: no key, and nulls are distinct
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["usage", "request_id"], name="resource_request_once")]
        indexes = [models.Index(fields=["usage", "changed_at"], name="resource_change_by_time")]

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}"


class UnitPack(models.Model):
    """Package units (套餐量) of an account for a meter (a service label or a metered name); drawn before money."""

    class Unit(models.TextChoices):
        USE = "use", _("uses")
        MINUTE = "minute", _("minutes")

    account = _account(verbose_name=_("account"))
    meter = models.CharField(_("meter"), max_length=64)
    unit = models.CharField(_("unit"), max_length=6, choices=Unit.choices)
    granted = _decimal(_("granted"))
    remaining = _decimal(_("remaining"))
    reserved = _decimal(_("reserved"), default=Decimal(0))
    valid_from = models.DateTimeField(_("from"))
    valid_to = models.DateTimeField(_("until"))
    source = models.CharField(_("source"), max_length=128)

    class Meta:
        verbose_name, verbose_name_plural = _("unit pack"), _("unit packs")
        constraints = [
            models.CheckConstraint(condition=Q(granted__gt=0, granted__lt=LIMIT), name="pack_granted_bounded"),
            models.CheckConstraint(condition=Q(remaining__gte=0, remaining__lte=F("granted")), name="pack_remaining"),
            models.CheckConstraint(condition=Q(reserved__gte=0, reserved__lte=F("remaining")), name="pack_reserved"),
            models.CheckConstraint(condition=Q(valid_to__gt=F("valid_from")), name="pack_period"),
            models.UniqueConstraint(fields=["account", "meter", "source"], name="pack_source_once"),
        ]
        indexes = [
            models.Index(fields=["account", "meter", "valid_to"], condition=Q(remaining__gt=0), name="pack_live")
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.granted} {self.unit}"


class ServiceRecord(models.Model):
    """One use of a service: its key, its content, what it cost and why. (item, providerno) is unique.

    `content` is the canonical request that a repeat is compared with, and the question that re-rating asks again;
    `explanation` is JSON text. Both are written by metering only.
    """

    class State(models.TextChoices):
        STARTED = "started", _("started")
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
    account = _account(db_index=False, db_constraint=False)
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
    cost = _decimal(_("cost"), default=Decimal(0))
    currency = models.CharField(_("currency"), max_length=3)
    charged_seconds = models.PositiveIntegerField(_("charged seconds"), default=0)
    charged_count = _decimal(_("charged count"), default=Decimal(0))
    pack_units = _decimal(_("package units"), default=Decimal(0))
    deck_version = models.CharField(_("deck version"), max_length=100, blank=True)
    warnings = models.CharField(_("warnings"), max_length=200, blank=True)
    explanation = models.TextField(blank=True)
    estimated = models.BooleanField(_("estimated"), default=False)
    transfer_id = models.BigIntegerField(_("transfer"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("service record"), _("service records")
        constraints = [
            models.UniqueConstraint(fields=["item", "providerno"], name="use_once"),
            models.CheckConstraint(condition=Q(cost__gte=0, cost__lt=LIMIT), name="use_cost_bounded"),
            models.CheckConstraint(
                condition=~Q(state="ended") | Q(cost=0) | Q(transfer_id__isnull=False), name="use_cost_posted"
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
    cost = _decimal("cost")
    charged_seconds = models.PositiveIntegerField()
    deck_version = models.CharField(max_length=100, blank=True)
    warnings = models.CharField(max_length=200, blank=True)
    explanation = models.TextField(blank=True)
    transfer_id = models.BigIntegerField(null=True)
    reversal_id = models.BigIntegerField(null=True)
    replaced_by_content = models.TextField()
    replaced_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "cause"], name="replacement_once")]

    def __str__(self) -> str:
        return f"{self.record_id} {self.cause}"


class PackDraw(models.Model):
    """Units that a use reserved (`drawn` false) or drew from a pack."""

    record = models.ForeignKey(ServiceRecord, models.PROTECT, related_name="+")
    pack = models.ForeignKey(UnitPack, models.PROTECT, related_name="+")
    units = _decimal("units")
    drawn = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "pack"], name="pack_draw_once")]

    def __str__(self) -> str:
        return f"{self.record_id} {self.units}"


class DirectoryGeneration(models.Model):
    """One row, raised by triggers whenever the answer to "who pays" may have changed."""

    number = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.number)


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
