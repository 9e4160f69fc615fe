"""What is sold and to whom: service items, price versions, openings, quotas, resources, unit packs."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from counter.models.fields import LIMIT, account_field, decimal_field


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
    price = decimal_field(_("price"))
    connect_fee = decimal_field(_("connect fee"), default=Decimal(0))
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

    account = account_field(verbose_name=_("account"))
    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+", verbose_name=_("service item"))
    opened_at = models.DateTimeField(_("opened"))
    closed_at = models.DateTimeField(pgettext_lazy("opening", "closed"), null=True, blank=True)
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

    account = account_field()
    item = models.ForeignKey(ServiceItem, models.PROTECT, related_name="+")
    month = models.DateField()
    used = decimal_field("used", default=Decimal(0))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "item", "month"], name="quota_use_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.item_id} {self.month}: {self.used}"


class ResourceUsage(models.Model):
    """How many units of a resource item an account occupies now."""

    account = account_field()
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

    account = account_field(verbose_name=_("account"))
    meter = models.CharField(_("meter"), max_length=64)
    unit = models.CharField(_("unit"), max_length=6, choices=Unit.choices)
    granted = decimal_field(_("granted"))
    remaining = decimal_field(_("remaining"))
    reserved = decimal_field(_("reserved"), default=Decimal(0))
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
