"""What a deck must answer: questions kept with it, asked again before a version is published."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from rating.models.decks import Deck


class ExpectedPrice(models.Model):
    """A question to one deck and its right answer: an amount in the deck's currency, or the code of a pricing error.

    `question` holds the fields of an explanation's question without deck and version.
    """

    deck = models.ForeignKey(Deck, models.PROTECT, related_name="+", verbose_name=_("rate deck"))
    name = models.CharField(_("name"), max_length=80)
    question = models.JSONField(_("question"))
    amount = models.DecimalField(_("amount"), null=True, blank=True, max_digits=36, decimal_places=20)
    error = models.CharField(_("error"), max_length=20, blank=True)
    created_by = models.CharField(_("created by"), max_length=80, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("test case"), _("test cases")
        ordering = ["deck", "id"]
        constraints = [
            models.UniqueConstraint(fields=["deck", "name"], name="expected_price_once"),
            models.CheckConstraint(
                condition=Q(amount__isnull=False, error="") | (Q(amount__isnull=True) & ~Q(error="")),
                name="expected_price_or_error",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0, amount__lt=10**12), name="expected_price_amount"
            ),
        ]

    def __str__(self) -> str:
        return self.name
