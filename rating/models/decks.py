"""Decks and their versions."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

ROUNDINGS = [("up", _("up")), ("half_up", _("half up")), ("half_even", _("half even")), ("down", _("down"))]


class Deck(models.Model):
    """A named list of rates in one currency, one zone and one numbering. Its head is fixed by the first publish."""

    class Purpose(models.TextChoices):
        SELL = "sell", _("sell")
        COST = "cost", pgettext_lazy("deck", "cost")

    class Numbering(models.TextChoices):
        E164 = "e164", _("international, without +")
        NATIONAL = "national", _("as dialled in China")
        RAW = "raw", _("as given")

    code = models.CharField(_("code"), max_length=128, unique=True)
    name_zh = models.CharField(_("Chinese name"), max_length=100, blank=True)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    purpose = models.CharField(_("purpose"), max_length=4, choices=Purpose.choices, default=Purpose.SELL)
    family = models.CharField(
        _("family"), max_length=128, blank=True, help_text=_("decks of one family differ by carrier; empty = the code")
    )
    carrier = models.ForeignKey(
        "rating.Carrier",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("carrier"),
        help_text=_("prices only numbers of this carrier"),
    )
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    zone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    numbering = models.CharField(_("numbering"), max_length=8, choices=Numbering.choices, default=Numbering.NATIONAL)
    rounding = models.CharField(_("rounding"), max_length=9, choices=ROUNDINGS, default="half_up")
    decimals = models.PositiveSmallIntegerField(_("decimals"), default=4)
    notice_days = models.PositiveSmallIntegerField(_("days of notice before a rise"), default=0)
    plan = models.ForeignKey(
        "rating.TariffPlan",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("tariff plan"),
    )

    class Meta:
        verbose_name, verbose_name_plural = _("rate deck"), _("rate decks")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=models.Q(decimals__lte=20), name="deck_decimals"),
            models.CheckConstraint(condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="deck_currency"),
            models.UniqueConstraint(fields=["family", "carrier"], name="deck_family_carrier", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: object, **kwargs: object) -> None:
        self.family = self.family or self.code
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came


class DeckVersion(models.Model):
    """A snapshot of a deck's rates and bands: drawn up as a draft, immutable once published.

    Whether a published version is scheduled, live or superseded follows from the effective instants alone
    (`rating.decks.standing`); no job has to move it. `base` is the version that a draft was drawn from: it may be
    published only while that is still the latest. A proposed draft waits for a second person and is not edited.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        PROPOSED = "proposed", _("waits for a second person")
        PUBLISHED = "published", _("published")
        WITHDRAWN = "withdrawn", _("withdrawn")
        DISCARDED = "discarded", _("discarded")

    TRANSITIONS = {
        State.DRAFT: frozenset({State.PROPOSED, State.PUBLISHED, State.DISCARDED}),
        State.PROPOSED: frozenset({State.PUBLISHED, State.DRAFT}),
        State.PUBLISHED: frozenset({State.WITHDRAWN}),
        State.WITHDRAWN: frozenset[str](),
        State.DISCARDED: frozenset[str](),
    }

    deck = models.ForeignKey(Deck, models.PROTECT, related_name="+", verbose_name=_("rate deck"))
    number = models.PositiveIntegerField(_("version"))
    base = models.PositiveIntegerField(_("drawn from version"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.DRAFT)
    effective_from = models.DateTimeField(_("effective from"), null=True, blank=True)
    proposed_at = models.DateTimeField(_("proposed"), null=True, blank=True)
    proposed_by = models.CharField(_("proposed by"), max_length=80, blank=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    published_by = models.CharField(_("published by"), max_length=80, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    correction = models.BooleanField(_("correction"), default=False)
    content_hash = models.CharField(_("content"), max_length=64, blank=True)
    row_count = models.PositiveIntegerField(_("rows"), default=0)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("deck version"), _("deck versions")
        constraints = [
            models.UniqueConstraint(fields=["deck", "number"], name="deck_version_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=["draft", "proposed", "discarded"])
                | models.Q(published_at__isnull=False, effective_from__isnull=False),
                name="deck_version_published_when",
            ),
            models.CheckConstraint(condition=models.Q(number__gt=models.F("base")), name="deck_version_after_base"),
        ]
        indexes = [models.Index(fields=["deck", "-effective_from", "-number"], name="deck_version_in_force")]

    def __str__(self) -> str:
        return f"{self.deck_id} v{self.number}"
