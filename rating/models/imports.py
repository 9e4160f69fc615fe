"""Deck files: how a supplier's files are read, and the story of every file that came in."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from rating.models.decks import Deck, DeckVersion


class ImportTemplate(models.Model):
    """How one supplier's files are to be read; `options` is a `formats.template.FileTemplate` as JSON."""

    code = models.CharField(_("code"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    deck = models.ForeignKey(
        Deck, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("rate deck"),
        help_text=_("empty = any rate deck"),
    )  # fmt: skip
    format = models.CharField(_("format"), max_length=20, blank=True)
    options = models.JSONField(_("options"), default=dict, blank=True)
    created_by = models.CharField(_("created by"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("import template"), _("import templates")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=r"^[A-Za-z0-9_.-]{1,40}$"), name="import_template_code")
        ]

    def __str__(self) -> str:
        return self.code


class DeckImport(models.Model):
    """The whole story of one file: which, for which deck, how it was read, what it would change, what became of it.

    `version` is the draft that the file made; no other import shares it. While the file may still be needed its
    content lies in `DeckImportPart`. `reference` is the sender's Idempotency-Key.
    """

    class Mode(models.TextChoices):
        MERGE = "merge", _("merge: only the listed prefixes change")
        REPLACE = "replace", _("replace: prefixes that are not listed end")
        COUNTRY = "country", _("country: as replace, for the countries that occur in the file")

    class State(models.TextChoices):
        RECEIVED = "received", pgettext_lazy("file", "received")
        CHECKING = "checking", _("being checked")
        READY = "ready", _("ready")
        REFUSED = "refused", _("cannot be read")
        APPLIED = "applied", _("applied")
        DISCARDED = "discarded", _("discarded")
        EXPIRED = "expired", _("expired")

    TRANSITIONS = {
        State.RECEIVED: frozenset({State.CHECKING, State.DISCARDED}),
        State.CHECKING: frozenset({State.CHECKING, State.READY, State.REFUSED}),  # again: the worker before it died
        State.READY: frozenset({State.APPLIED, State.DISCARDED, State.EXPIRED}),
        State.REFUSED: frozenset({State.DISCARDED, State.EXPIRED}),
        State.APPLIED: frozenset[str](),
        State.DISCARDED: frozenset[str](),
        State.EXPIRED: frozenset[str](),
    }

    deck = models.ForeignKey(Deck, models.PROTECT, related_name="+", verbose_name=_("rate deck"))
    version = models.OneToOneField(
        DeckVersion, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("deck version")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RECEIVED)
    file_name = models.CharField(_("file"), max_length=200)
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    size = models.PositiveIntegerField(_("bytes"), default=0)
    template = models.CharField(_("template"), max_length=40, blank=True)
    options = models.JSONField(_("options"), default=dict)
    mode = models.CharField(_("mode"), max_length=8, choices=Mode.choices)
    skip_errors = models.BooleanField(_("leave out rows with errors"), default=False)
    effective_from = models.DateTimeField(_("effective from"), null=True, blank=True)
    correction = models.BooleanField(_("correction"), default=False)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    counts = models.JSONField(_("counts"), default=dict)
    errors = models.JSONField(_("errors"), default=list)
    warnings = models.JSONField(_("warnings"), default=list)
    rails = models.JSONField(_("guard rails"), default=list)
    token = models.CharField(_("token"), max_length=12, blank=True)
    job_id = models.BigIntegerField(_("run"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    reference = models.CharField(_("sender's key"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("deck import"), _("deck imports")
        constraints = [
            models.UniqueConstraint(
                fields=["deck", "created_by", "reference"], condition=~Q(reference=""), name="deck_import_once"
            )
        ]
        indexes = [
            models.Index(fields=["deck", "-created_at"], name="deck_import_latest"),
            models.Index(
                fields=["state", "created_at"],
                condition=Q(state__in=["received", "checking", "ready", "refused"]),
                name="deck_import_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} → {self.deck_id}"


class DeckImportPart(models.Model):
    """A piece of a file's compressed content, kept until the file is applied or thrown away."""

    deck_import = models.ForeignKey(DeckImport, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["deck_import", "number"], name="deck_import_part_once")]

    def __str__(self) -> str:
        return f"{self.deck_import_id} part {self.number}"
