"""The content of deck versions: rates as ranges of versions, and the bands of each version."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from rating.models.decks import ROUNDINGS, Deck, DeckVersion

PRICE_MAX = 10**9
SECONDS_MAX = 31 * 86400


def _between(name: str, low: int, high: int, *, nullable: bool = False) -> Q:
    """Two-sided, so that NaN and infinity are refused too."""
    inside = Q(**{f"{name}__gte": low, f"{name}__lt": high})
    return Q(**{f"{name}__isnull": True}) | inside if nullable else inside


class Rate(models.Model):
    """What calls to a prefix cost, in the versions `valid_from_version` <= v < `valid_to_version` (null: until now).

    While the version that introduced it is a draft, a row may be edited and belongs to that version alone. Once it is
    published, triggers let nothing happen to the row but the closing of its range. Amounts in the deck's currency.
    """

    class Reach(models.TextChoices):
        LOCAL = "local", _("local")
        LONG_DISTANCE = "long_distance", _("long distance")
        HMT = "hmt", _("Hong Kong, Macao, Taiwan")
        INTERNATIONAL = "international", _("international")

    class CallKind(models.TextChoices):
        VOICE = "voice", _("voice")
        DATA = "data", _("data")
        SMS = "sms", _("messages")
        UNIT = "unit", _("units")

    class FreeKind(models.TextChoices):
        FIRST_N = "free_first_n", _("the first seconds are free")
        IF_SHORTER = "free_if_shorter_than", _("free if shorter")

    class CapKind(models.TextChoices):
        FREE = "free", _("never more than the cap")
        DISCONNECT = "disconnect", _("the call ends at the cap")

    deck = models.ForeignKey(Deck, models.PROTECT, related_name="+", verbose_name=_("rate deck"))
    valid_from_version = models.PositiveIntegerField(_("since version"))
    valid_to_version = models.PositiveIntegerField(_("until version"), null=True, blank=True)
    prefix = models.CharField(_("prefix"), max_length=40, blank=True)
    key = models.CharField(_("look-up key"), max_length=40, blank=True)
    destination = models.CharField(_("destination"), max_length=120, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    carrier = models.CharField(_("carrier"), max_length=20, blank=True)
    reach = models.CharField(_("reach"), max_length=16, choices=Reach.choices, blank=True)
    kind = models.CharField(_("kind"), max_length=8, choices=CallKind.choices, blank=True)
    band = models.CharField(_("time band"), max_length=40, blank=True)
    priority = models.DecimalField(_("priority"), max_digits=10, decimal_places=4, null=True, blank=True)
    rate = models.DecimalField(_("rate"), max_digits=18, decimal_places=8)
    rate_unit = models.DecimalField(_("per seconds"), default=60, max_digits=18, decimal_places=9)
    first_rate = models.DecimalField(
        _("rate of the first increment"), null=True, blank=True, max_digits=18, decimal_places=8
    )
    first_increment = models.DecimalField(_("first increment, seconds"), default=60, max_digits=18, decimal_places=9)
    next_increment = models.DecimalField(_("next increment, seconds"), default=60, max_digits=18, decimal_places=9)
    tiers = models.CharField(
        _("tiers"), max_length=400, blank=True, help_text=_("second:rate[/increment]; …, e.g. 180:0.05;600:0.03/6")
    )
    connect_fee = models.DecimalField(_("connect fee"), default=0, max_digits=18, decimal_places=8)
    free_kind = models.CharField(_("free seconds"), max_length=20, choices=FreeKind.choices, blank=True)
    free_seconds = models.DecimalField(_("how many seconds"), default=0, max_digits=18, decimal_places=9)
    min_charge = models.DecimalField(_("minimum charge"), default=0, max_digits=18, decimal_places=8)
    cap = models.DecimalField(_("cap"), null=True, blank=True, max_digits=18, decimal_places=8)
    cap_kind = models.CharField(_("kind of cap"), max_length=10, choices=CapKind.choices, blank=True)
    rounding = models.CharField(_("rounding"), max_length=9, choices=ROUNDINGS, blank=True)
    decimals = models.PositiveSmallIntegerField(_("decimals"), null=True, blank=True)
    blocked = models.BooleanField(_("blocked"), default=False)
    effective_from = models.DateTimeField(_("effective from"), null=True, blank=True)
    effective_to = models.DateTimeField(_("effective to"), null=True, blank=True)
    cost_rate = models.DecimalField(_("supplier's rate"), null=True, blank=True, max_digits=18, decimal_places=8)
    comment = models.CharField(_("comment"), max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("rate"), _("rates")
        constraints = [
            models.CheckConstraint(condition=_between("rate", 0, PRICE_MAX), name="rate_price"),
            models.CheckConstraint(condition=_between("first_rate", 0, PRICE_MAX, nullable=True), name="rate_first"),
            models.CheckConstraint(condition=_between("connect_fee", 0, PRICE_MAX), name="rate_connect_fee"),
            models.CheckConstraint(condition=_between("min_charge", 0, PRICE_MAX), name="rate_min_charge"),
            models.CheckConstraint(condition=_between("cap", 0, PRICE_MAX, nullable=True), name="rate_cap"),
            models.CheckConstraint(condition=_between("cost_rate", 0, PRICE_MAX, nullable=True), name="rate_cost"),
            models.CheckConstraint(
                condition=Q(rate_unit__gt=0, first_increment__gt=0, next_increment__gt=0)
                & _between("rate_unit", 0, SECONDS_MAX)
                & _between("first_increment", 0, SECONDS_MAX)
                & _between("next_increment", 0, SECONDS_MAX)
                & _between("free_seconds", 0, SECONDS_MAX),
                name="rate_seconds",
            ),
            models.CheckConstraint(condition=_between("decimals", 0, 21, nullable=True), name="rate_decimals"),
            models.CheckConstraint(
                condition=Q(cap__isnull=True, cap_kind="") | (Q(cap__isnull=False) & ~Q(cap_kind="")),
                name="rate_cap_has_kind",
            ),
            models.CheckConstraint(
                condition=Q(free_seconds=0, free_kind="") | (Q(free_seconds__gt=0) & ~Q(free_kind="")),
                name="rate_free_has_kind",
            ),
            models.CheckConstraint(
                condition=Q(effective_from__isnull=True)
                | Q(effective_to__isnull=True)
                | Q(effective_to__gt=F("effective_from")),
                name="rate_period",
            ),
            models.CheckConstraint(
                condition=Q(valid_to_version__isnull=True) | Q(valid_to_version__gt=F("valid_from_version")),
                name="rate_version_range",
            ),
        ]
        indexes = [
            models.Index(fields=["deck", "key", "id"], name="rate_by_key"),
            models.Index(fields=["deck", "valid_from_version"], name="rate_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix or '*'} {self.rate}/{self.rate_unit}"


class RateEnd(models.Model):
    """A draft says that a published row ends with it; publishing turns these into closed ranges."""

    draft = models.ForeignKey(DeckVersion, models.CASCADE, related_name="+")
    rate = models.ForeignKey(Rate, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draft", "rate"], name="rate_end_once")]

    def __str__(self) -> str:
        return f"{self.draft_id} ends {self.rate_id}"


class TimeBand(models.Model):
    """Days and a clock range in the deck's zone; every test that is not empty must hold. Immutable when published."""

    version = models.ForeignKey(DeckVersion, models.CASCADE, related_name="+", verbose_name=_("deck version"))
    name = models.CharField(_("name"), max_length=40)
    classes = ArrayField(models.CharField(max_length=16), default=list, blank=True, verbose_name=_("classes of days"))
    weekdays = ArrayField(models.SmallIntegerField(), default=list, blank=True, verbose_name=_("weekdays (1-7)"))
    years = ArrayField(models.SmallIntegerField(), default=list, blank=True, verbose_name=_("years"))
    months = ArrayField(models.SmallIntegerField(), default=list, blank=True, verbose_name=_("months"))
    month_days = ArrayField(models.SmallIntegerField(), default=list, blank=True, verbose_name=_("days of the month"))
    dates = ArrayField(
        models.CharField(max_length=22),
        default=list,
        blank=True,
        verbose_name=_("dates"),
        help_text=_("2026-10-01 or 2026-10-01..2026-10-07"),
    )
    start = models.TimeField(_("from"), null=True, blank=True)
    end = models.TimeField(_("to"), null=True, blank=True, help_text=_("empty = 24:00; not after from = next day"))
    priority = models.DecimalField(_("priority"), max_digits=10, decimal_places=4, null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("time band"), _("time bands")
        constraints = [models.UniqueConstraint(fields=["version", "name"], name="time_band_once")]

    def __str__(self) -> str:
        return self.name
