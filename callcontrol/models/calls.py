"""Callbacks (回拨), everything that was heard of them, and the slots that live calls occupy."""

from decimal import Decimal

from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

LIMIT = Decimal(10) ** 12


class State(models.TextChoices):
    """Where a call stands: `a` is the agent's side, `b` the customer's; an order by RANKS."""

    CREATED = "created", _("created")
    QUEUED = "queued", _("queued")
    UNKNOWN = "unknown", _("unknown")
    A_DIALING = "a_dialing", _("dialling the agent")
    A_RINGING = "a_ringing", _("agent's telephone rings")
    A_ANSWERED = "a_answered", _("agent has answered")
    B_DIALING = "b_dialing", _("dialling the customer")
    B_RINGING = "b_ringing", _("customer's telephone rings")
    BRIDGED = "bridged", _("talking")
    EXPIRED = "expired", _("expired")
    ENDED = "ended", _("ended")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


RANKS = {
    State.CREATED: 0, State.QUEUED: 10, State.UNKNOWN: 10, State.A_DIALING: 20, State.A_RINGING: 30,
    State.A_ANSWERED: 40, State.B_DIALING: 50, State.B_RINGING: 60, State.BRIDGED: 70, State.EXPIRED: 90,
    State.ENDED: 100, State.FAILED: 100, State.CANCELLED: 100,
}  # fmt: skip
TALKING, OVER, FINAL = RANKS[State.BRIDGED], RANKS[State.EXPIRED], RANKS[State.ENDED]


class Callback(models.Model):
    """One call that we place. States only rise in rank; `reference` is our id everywhere, also the charge's key.

    Times are instants, durations seconds, the hold and the cost in `currency`.
    """

    State = State

    reference = models.CharField(_("call id"), max_length=32, unique=True)
    request_key = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  null: no key
    organization = models.CharField(_("organisation"), max_length=64)
    application = models.CharField(_("application"), max_length=64, blank=True)
    agent = models.ForeignKey(
        "callcontrol.Agent", models.PROTECT, null=True, related_name="+", verbose_name=_("agent"), db_index=False
    )
    placed_by = models.CharField(_("placed by"), max_length=80)
    call_type = models.CharField(_("call type"), max_length=20)
    accno = models.CharField(_("account"), max_length=20)
    label = models.CharField(_("service"), max_length=64)
    agent_number = models.CharField(_("agent's number"), max_length=32)
    agent_key = models.CharField(max_length=32)
    customer_number = models.CharField(_("customer's number"), max_length=32)
    customer_key = models.CharField(max_length=32)
    display_to_customer = models.CharField(_("shown to the customer"), max_length=32, blank=True)
    display_to_agent = models.CharField(_("shown to the agent"), max_length=32, blank=True)
    dial_first = models.CharField(_("dialled first"), max_length=8, default="agent")
    ring_timeout = models.PositiveSmallIntegerField(_("ring timeout (s)"), default=45)
    record = models.BooleanField(_("record"), default=False)
    warn_before_seconds = models.PositiveIntegerField(_("warning before the end (s)"), null=True)
    requested_seconds = models.PositiveIntegerField(_("longest wanted (s)"), null=True)
    user_data = models.CharField(_("integrator's text"), max_length=256, blank=True)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.CREATED)
    rank = models.GeneratedField(
        expression=Case(*[When(state=state, then=Value(rank)) for state, rank in RANKS.items()]),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    refusal = models.CharField(_("refusal"), max_length=40, blank=True)
    review = models.CharField(_("to be reviewed"), max_length=40, blank=True)
    granted_unchecked = models.BooleanField(_("granted without a check"), default=False)
    unchecked_policy_id = models.BigIntegerField(null=True)
    max_seconds = models.PositiveIntegerField(_("longest (s)"), null=True)
    limit_reason = models.CharField(_("limited by"), max_length=20, blank=True)
    hold_amount = models.DecimalField(_("held"), max_digits=20, decimal_places=6, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    hold_expires_at = models.DateTimeField(_("hold expires"))

    provider = models.CharField(_("platform"), max_length=32, blank=True)
    provider_call_id = models.CharField(_("platform's call id"), max_length=128, null=True)  # noqa: DJ001  null: not yet
    provider_code = models.CharField(_("platform's code"), max_length=64, blank=True)
    cancel_policy = models.CharField(pgettext_lazy("call", "cancel asked"), max_length=24, blank=True)
    next_ask_at = models.DateTimeField(_("asked next"), null=True)
    asks = models.PositiveIntegerField(_("asked"), default=0)

    created_at = models.DateTimeField(_("created"))
    placed_at = models.DateTimeField(_("placed"), null=True)
    answered_at = models.DateTimeField(_("talking since"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    updated_at = models.DateTimeField(_("changed"))

    record_id = models.CharField(_("call record"), max_length=64, blank=True)
    recorded_at = models.DateTimeField(_("record noted"), null=True)
    billable_seconds = models.PositiveIntegerField(_("billable (s)"), null=True)
    cost = models.DecimalField(_("cost"), max_digits=20, decimal_places=6, null=True)
    cause = models.CharField(pgettext_lazy("call", "cause"), max_length=32, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("callback"), _("callbacks")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=list(RANKS)), name="callback_state_known"),
            models.CheckConstraint(condition=Q(max_seconds__isnull=True) | Q(max_seconds__gt=0), name="callback_limit"),
            models.CheckConstraint(
                condition=Q(hold_amount__isnull=True) | Q(hold_amount__gte=0, hold_amount__lt=LIMIT),
                name="callback_hold_bounded",
            ),
            models.CheckConstraint(
                condition=Q(cost__isnull=True) | Q(cost__gte=0, cost__lt=LIMIT), name="callback_cost_bounded"
            ),
            models.CheckConstraint(condition=Q(ring_timeout__range=(5, 120)), name="callback_ring_timeout"),
            models.UniqueConstraint(fields=["provider", "provider_call_id"], name="callback_provider_call_once"),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="callback_by_organization"),
            models.Index(fields=["agent", "-created_at", "-id"], name="callback_by_agent"),
            models.Index(fields=["customer_key", "-created_at"], name="callback_by_customer"),
            models.Index(fields=["next_ask_at"], name="callback_to_ask", condition=Q(next_ask_at__isnull=False)),
            models.Index(fields=["created_at"], name="callback_live", condition=Q(rank__lt=OVER)),
            models.Index(
                fields=["ended_at"], name="callback_no_record",
                condition=Q(state="ended", recorded_at__isnull=True, review=""),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.reference


class CallbackEvent(models.Model):
    """Something heard or done about a call, kept as it came; the database refuses changes once it has its call."""

    class Source(models.TextChoices):
        OURS = "ours", _("ours")
        PLATFORM = "platform", _("platform")
        ASKED = "asked", _("platform, asked")
        SWEEPER = "sweeper", _("sweeper")
        RECORD = "record", _("call record")

    callback = models.ForeignKey(Callback, models.PROTECT, null=True, related_name="+", verbose_name=_("callback"))
    source = models.CharField(_("source"), max_length=8, choices=Source.choices)
    provider = models.CharField(_("platform"), max_length=32, blank=True)
    provider_call_id = models.CharField(_("platform's call id"), max_length=128)
    identity = models.CharField(max_length=128)
    state = models.CharField(_("state"), max_length=10)
    raised = models.BooleanField(_("changed the state"))
    detail = models.CharField(_("detail"), max_length=128, blank=True)
    at = models.DateTimeField(_("time"))
    received_at = models.DateTimeField(_("received"))

    class Meta:
        verbose_name, verbose_name_plural = _("call event"), _("call events")
        constraints = [
            models.UniqueConstraint(fields=["provider", "provider_call_id", "identity"], name="call_event_once"),
            models.CheckConstraint(condition=Q(state__in=list(RANKS)), name="call_event_state_known"),
        ]
        indexes = [
            models.Index(fields=["callback", "id"], name="call_event_by_call"),
            models.Index(fields=["received_at"], name="call_event_waiting", condition=Q(callback__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.provider_call_id} {self.state}"


class CallSlot(models.Model):
    """How many live calls (rank below OVER) an organisation (`holder` "") or one agent (`holder` the number) has."""

    organization = models.CharField(max_length=64)
    holder = models.CharField(max_length=32, blank=True)
    live = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "holder"], name="call_slot_once")]

    def __str__(self) -> str:
        return f"{self.organization} {self.holder}: {self.live}"
