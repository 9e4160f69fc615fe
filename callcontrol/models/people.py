"""Who calls, with which numbers, whom they may call, and when."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Agent(models.Model):
    """A person at a telephone (坐席). `key` is the number in international form."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("person")
    )
    organization = models.CharField(_("organisation"), max_length=64)
    number = models.CharField(_("number"), max_length=32)
    key = models.CharField(_("number, normalised"), max_length=32, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("agent"), _("agents")
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="agent_number_once"),
            models.UniqueConstraint(fields=["organization", "user"], name="agent_person_once"),
            models.CheckConstraint(condition=~Q(key=""), name="agent_number_readable"),
        ]

    def __str__(self) -> str:
        return f"{self.number} @ {self.organization}"


class DisplayNumber(models.Model):
    """A number that an organisation may show (外显号码); it counts once its ownership was verified."""

    organization = models.CharField(_("organisation"), max_length=64)
    number = models.CharField(_("number"), max_length=32)
    key = models.CharField(_("number, normalised"), max_length=32, editable=False)
    verified_at = models.DateTimeField(_("verified"), null=True, blank=True)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name, verbose_name_plural = _("display number"), _("display numbers")
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="display_number_once"),
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_default=True), name="display_number_one_default"
            ),
            models.CheckConstraint(condition=~Q(key=""), name="display_number_readable"),
        ]

    def __str__(self) -> str:
        return self.number


class NumberListEntry(models.Model):
    """A number, or the beginning of numbers, that may not be called, or that alone may be. "" = for everybody."""

    class Kind(models.TextChoices):
        DENY = "deny", _("deny")
        ALLOW = "allow", _("allow")

    class Match(models.TextChoices):
        EXACT = "exact", _("exact")
        PREFIX = "prefix", _("prefix")

    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    kind = models.CharField(_("kind"), max_length=5, choices=Kind.choices)
    match = models.CharField(_("match"), max_length=6, choices=Match.choices, default=Match.EXACT)
    key = models.CharField(_("number in international form"), max_length=32)
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("number list entry"), _("number list entries")
        constraints = [
            models.UniqueConstraint(fields=["organization", "kind", "match", "key"], name="number_list_once"),
            models.CheckConstraint(condition=~Q(key=""), name="number_list_not_empty"),
        ]
        indexes = [models.Index(fields=["key"], name="number_list_by_key")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class BusinessHours(models.Model):
    """One stretch of a day in which an organisation calls, in its own zone. Closing at 00:00 is the end of the day."""

    class Day(models.TextChoices):
        MONDAY = "mon", _("Monday")
        TUESDAY = "tue", _("Tuesday")
        WEDNESDAY = "wed", _("Wednesday")
        THURSDAY = "thu", _("Thursday")
        FRIDAY = "fri", _("Friday")
        SATURDAY = "sat", _("Saturday")
        SUNDAY = "sun", _("Sunday")
        HOLIDAY = "holiday", _("public holiday")
        MAKEUP = "makeup", _("make-up working day")

    organization = models.CharField(_("organisation"), max_length=64)
    day = models.CharField(_("day"), max_length=7, choices=Day.choices)
    opens = models.TimeField(_("opens"))
    closes = models.TimeField(_("closes"))

    class Meta:
        verbose_name, verbose_name_plural = _("business hours"), _("business hours")
        constraints = [
            models.UniqueConstraint(fields=["organization", "day", "opens"], name="business_hours_once"),
            models.CheckConstraint(
                condition=Q(closes="00:00") | Q(closes__gt=F("opens")), name="business_hours_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization} {self.day} {self.opens:%H:%M}"
