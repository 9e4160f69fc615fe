"""What was delivered, as it was delivered, and what people must look at."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Delivery(models.Model):
    """One POST, push or message with its raw body; written once, before anything else counts.

    Partitioned by month of `received_at` (the key in the database is (id, received_at)); no row of it ever changes.
    """

    id = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField(_("received"))
    source = models.CharField(_("door"), max_length=16)
    adapter = models.CharField(_("adapter"), max_length=20)
    provider_id = models.BigIntegerField(_("provider"), null=True)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    content_type = models.CharField(_("content type"), max_length=100, blank=True)
    headers = models.TextField(_("headers"), blank=True)
    body = models.BinaryField(_("body"))

    class Meta:
        db_table = "call_deliveries"
        verbose_name, verbose_name_plural = _("delivery"), _("deliveries")

    def __str__(self) -> str:
        return f"{self.source} {self.pk}"


class OpenDelivery(models.Model):
    """A delivery whose call records are not all written yet: the row is the queue, and goes with the last record."""

    delivery_id = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("open delivery"), _("open deliveries")

    def __str__(self) -> str:
        return str(self.delivery_id)


class ReviewItem(models.Model):
    """Something that a person must decide: named by kind and subject, once for the same content."""

    class Kind(models.TextChoices):
        CONFLICT = "conflict", _("other content under a charged key")
        CONTRADICTION = "contradiction", _("record contradicts itself")
        UNPARSED = "unparsed", _("delivery could not be read")
        REJECTED = "rejected", _("record of a webhook was rejected")
        CHARGE = "charge", _("charge was refused")
        DEAD = "dead", _("delivery given up")

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("review", "open")
        DONE = "done", _("done")

    TRANSITIONS = {State.OPEN: frozenset({State.DONE}), State.DONE: frozenset({State.OPEN})}

    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    subject = models.CharField(pgettext_lazy("review", "subject"), max_length=160)
    digest = models.CharField(max_length=64)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    record_id = models.BigIntegerField(_("call record"), null=True)
    delivery_id = models.BigIntegerField(_("delivery"), null=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    content = models.JSONField(_("content"), default=dict)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("review item"), _("review items")
        constraints = [models.UniqueConstraint(fields=["kind", "subject", "digest"], name="review_item_once")]
        indexes = [models.Index(fields=["kind", "-created_at"], condition=models.Q(state="open"), name="review_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
