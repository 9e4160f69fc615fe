"""Which deck prices whom, what kind of day a date is, and how processes notice that either has changed."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class TariffPlan(models.Model):
    """A tariff plan that came as a folder; its decks are named `<plan>/<Id>`. The folder's hash says which one it is.

    Lengths in its decks count base units of every kind: nanoseconds of calls, plain units of data and messages.
    """

    code = models.CharField(_("code"), max_length=64, unique=True)
    zone = models.CharField(_("time zone"), max_length=40)
    currency = models.CharField(_("currency"), max_length=3)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)
    counts = models.JSONField(_("counts"), default=dict)
    applied_at = models.DateTimeField(_("applied"), db_default=Now())
    applied_by = models.CharField(_("applied by"), max_length=80, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("tariff plan"), _("tariff plans")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class TariffProfile(models.Model):
    """From an instant on, a subject's uses of a category are priced by a family of decks.

    `*any` in category or subject is everybody's; `fallback_subjects` are asked in order when the family has no rate.
    """

    plan = models.CharField(_("tariff plan"), max_length=64, default="main")
    tenant = models.CharField(_("organisation"), max_length=64)
    category = models.CharField(_("category"), max_length=64, help_text=_("the service's label"))
    subject = models.CharField(
        pgettext_lazy("tariff", "subject"), max_length=64, default="*any", help_text=_("account number, or *any")
    )
    active_from = models.DateTimeField(_("active from"), null=True, blank=True)
    family = models.CharField(_("deck family"), max_length=128)
    fallback_subjects = ArrayField(
        models.CharField(max_length=64), default=list, blank=True, verbose_name=_("fallback subjects")
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("tariff assignment"), _("tariff assignments")
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "tenant", "category", "subject", "active_from"],
                name="profile_once",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.category} {self.subject} → {self.family}"


class CalendarDay(models.Model):
    """The class of one date, as a revision of the calendar knew it; the highest revision of a date counts.

    Rows are added, never changed: a trigger sees to it, so what was known earlier can still be asked. Dates without a
    row are workdays or weekends, by the weekday. A year is official once its 1 January is: every notice begins there.
    """

    class DayClass(models.TextChoices):
        WORKDAY = "workday", _("workday")
        MAKEUP_WORKDAY = "makeup_workday", _("make-up working day")
        WEEKEND = "weekend", _("weekend")
        HOLIDAY = "holiday", _("holiday")

    country = models.CharField(_("country"), max_length=2, default="CN")
    date = models.DateField(_("date"))
    day_class = models.CharField(_("class of day"), max_length=16, choices=DayClass.choices)
    name_zh = models.CharField(_("Chinese name"), max_length=40, blank=True)
    name_en = models.CharField(_("English name"), max_length=40, blank=True)
    source = models.CharField(_("source"), max_length=40, blank=True)
    provisional = models.BooleanField(
        _("provisional"), default=False, help_text=_("no official notice yet; 1 January speaks for its whole year")
    )
    revision = models.BigIntegerField(
        _("revision"), editable=False, db_default=models.Func(function="rating_calendar_revision")
    )
    created_at = models.DateTimeField(_("created"), editable=False, db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("calendar day"), _("calendar days")
        constraints = [models.UniqueConstraint(fields=["country", "date", "revision"], name="calendar_day_revision")]
        ordering = ["country", "-date", "-revision"]

    def __str__(self) -> str:
        return f"{self.country} {self.date} {self.day_class}"


class Generation(models.Model):
    """A number that a trigger raises whenever a topic changes (tariffs, calendar, segments); processes compare it."""

    topic = models.CharField(max_length=20, primary_key=True)
    number = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.topic} {self.number}"
