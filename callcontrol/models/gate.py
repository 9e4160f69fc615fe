"""What the gate needs beside the counter: the policy while it is away, and charges that could not be delivered."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

LIMIT = Decimal(10) ** 12


class GatePolicy(models.Model):
    """How an organisation's calls start ("" = all that have no row): limits of live calls, and what to do without an
    answer of the counter. `unchecked_…` is what CONTINUE has granted since the outage began; amounts in CNY."""

    class Policy(models.TextChoices):
        TERMINATE = "TERMINATE", _("refuse")
        CONTINUE = "CONTINUE", _("grant within the cap")
        RETRY_AND_TERMINATE = "RETRY_AND_TERMINATE", _("ask the next counter, then refuse")

    organization = models.CharField(_("organisation (empty: all)"), max_length=64, blank=True, unique=True)
    policy = models.CharField(_("without the counter"), max_length=20, choices=Policy.choices, default=Policy.TERMINATE)
    continue_amount = models.DecimalField(_("cap: amount"), max_digits=20, decimal_places=6, default=Decimal(0))
    continue_calls = models.PositiveIntegerField(_("cap: uses at once"), default=0)
    continue_minutes = models.PositiveIntegerField(_("cap: minutes"), default=0)
    continue_estimate = models.DecimalField(
        _("assumed cost of one use"), max_digits=20, decimal_places=6, default=Decimal(1)
    )
    continue_seconds = models.PositiveIntegerField(_("longest call without a check (s)"), default=600)
    live_calls_max = models.PositiveIntegerField(_("live calls of the organisation"), default=50)
    live_calls_per_agent = models.PositiveIntegerField(_("live calls of one agent"), default=1)
    allow_list_only = models.BooleanField(_("only numbers of the allow list"), default=False)
    unchecked_since = models.DateTimeField(_("granting without a check since"), null=True, editable=False)
    unchecked_calls = models.PositiveIntegerField(_("unchecked uses now"), default=0, editable=False)
    unchecked_amount = models.DecimalField(
        _("granted without a check"), max_digits=20, decimal_places=6, default=Decimal(0), editable=False
    )

    class Meta:
        verbose_name, verbose_name_plural = _("gate policy"), _("gate policies")
        constraints = [
            models.CheckConstraint(
                condition=Q(continue_amount__gte=0, continue_amount__lt=LIMIT, continue_estimate__gt=0),
                name="gate_policy_bounded",
            ),
            models.CheckConstraint(condition=Q(continue_seconds__gte=1), name="gate_policy_seconds"),
            models.CheckConstraint(
                condition=Q(unchecked_amount__gte=0, unchecked_amount__lt=LIMIT), name="gate_policy_unchecked"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization or '*'} {self.policy}"


class PendingUse(models.Model):
    """A charge or a release that the counter has not heard yet. It is resubmitted under the same reference."""

    class Action(models.TextChoices):
        END = "end", _("charge")
        CANCEL = "cancel", _("release")

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        DONE = "done", _("done")
        REVIEW = "review", _("review")

    TRANSITIONS = {
        State.PENDING: frozenset({State.DONE, State.REVIEW}),
        State.REVIEW: frozenset({State.PENDING}),
        State.DONE: frozenset[str](),
    }

    action = models.CharField(_("action"), max_length=6, choices=Action.choices)
    accno = models.CharField(_("account"), max_length=20)
    label = models.CharField(_("service"), max_length=64)
    reference = models.CharField(_("reference"), max_length=128)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    application = models.CharField(_("application"), max_length=64, blank=True)
    summary = models.CharField(_("summary"), max_length=512, blank=True)
    start_at = models.DateTimeField(_("start"), null=True)
    finish_at = models.DateTimeField(_("finish"), null=True)
    count = models.PositiveIntegerField(_("count"), default=1)
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), db_default=Now())
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("pending use"), _("pending uses")
        constraints = [
            models.UniqueConstraint(fields=["action", "label", "reference"], name="pending_use_once"),
            models.CheckConstraint(
                condition=~Q(action="end") | Q(finish_at__isnull=False, finish_at__gte=F("start_at")),
                name="pending_use_has_ended",
            ),
        ]
        indexes = [models.Index(fields=["next_attempt_at"], name="pending_use_due", condition=Q(state="pending"))]

    def __str__(self) -> str:
        return f"{self.action} {self.reference}"
