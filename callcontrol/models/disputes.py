"""Disputes (申诉): an agent's objection to one call, with the explanation of its charge as it stood then."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Dispute(models.Model):
    """A ticket about one call; a call has at most one open. It never changes a charge by itself.

    `charge` is the charge at the opening (callcontrol.charges.charge_facts): a later re-rating leaves it as it was. The
    database keeps everything but the move out of OPEN.
    """

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("dispute", "open")
        ACCEPTED = "accepted", pgettext_lazy("dispute", "accepted")
        DECLINED = "declined", pgettext_lazy("dispute", "declined")
        WITHDRAWN = "withdrawn", pgettext_lazy("dispute", "withdrawn")

    TRANSITIONS = {
        State.OPEN: frozenset({State.ACCEPTED, State.DECLINED, State.WITHDRAWN}),
        State.ACCEPTED: frozenset[str](),
        State.DECLINED: frozenset[str](),
        State.WITHDRAWN: frozenset[str](),
    }

    class Reason(models.TextChoices):
        DURATION = "duration", _("the duration is wrong")
        UNANSWERED = "unanswered", _("nobody answered")
        PRICE = "price", _("the price is wrong")
        TWICE = "twice", _("charged twice")
        NOT_MINE = "not_mine", _("I did not make this call")
        OTHER = "other", _("something else")

    call = models.ForeignKey(
        "callcontrol.Callback", models.PROTECT, related_name="+", verbose_name=_("callback"), db_index=False
    )
    organization = models.CharField(_("organisation"), max_length=64)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    reason = models.CharField(_("reason"), max_length=12, choices=Reason.choices)
    text = models.CharField(_("what is wrong"), max_length=1000, blank=True)
    charge = models.JSONField(_("charge at the opening"))
    opened_by = models.CharField(_("opened by"), max_length=80)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("person")
    )
    opened_at = models.DateTimeField(_("time of the objection"))
    answer = models.CharField(_("answer"), max_length=1000, blank=True)
    closed_by = models.CharField(_("answered by"), max_length=80, blank=True)
    closed_at = models.DateTimeField(_("time of the answer"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("dispute"), _("disputes")
        constraints = [
            models.UniqueConstraint(fields=["call"], condition=Q(state="open"), name="dispute_open_once"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "accepted", "declined", "withdrawn"]), name="dispute_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True, closed_by="")
                | (~Q(state="open") & Q(closed_at__isnull=False) & ~Q(closed_by="")),
                name="dispute_closed_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["accepted", "declined"]) | ~Q(answer=""), name="dispute_answered_in_words"
            ),
        ]
        indexes = [
            models.Index(fields=["call", "-id"], name="dispute_by_call"),
            models.Index(fields=["organization", "-id"], name="dispute_by_organization"),
            models.Index(fields=["organization", "id"], name="dispute_waiting", condition=Q(state="open")),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"
