"""The stored call: one row a record, one row its key, and what happened to it afterwards."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class CallRecord(models.Model):
    """A call as the house knows it: the canonical fields, then its charge. "" is "not said", seconds are whole.

    Partitioned by month of `start_time` (China's midnight; the key in the database is (id, start_time)). Where the
    platform tells no start, the first time that it does tell stands there, with the warning `start_time_assumed`.
    Written once, in its final state; each later change raises `revision`, which fences it from another writer.
    """

    class State(models.TextChoices):
        CHARGED = "charged", _("charged")
        FILTERED = "filtered", _("filtered")
        PENDING = "pending", _("charge pending")
        WAITING = "waiting", _("waiting for the other leg")
        ORPHAN = "orphan", _("nobody's call")
        QUARANTINED = "quarantined", _("quarantined")
        REVIEW = "review", _("to be reviewed")

    TRANSITIONS = {
        State.PENDING: frozenset({State.CHARGED, State.REVIEW, State.FILTERED}),
        State.WAITING: frozenset({State.PENDING, State.FILTERED, State.REVIEW}),
        State.ORPHAN: frozenset({State.PENDING, State.FILTERED, State.WAITING, State.REVIEW}),
        State.REVIEW: frozenset({State.PENDING, State.CHARGED, State.FILTERED, State.WAITING}),
        State.FILTERED: frozenset({State.PENDING, State.WAITING}),
        State.QUARANTINED: frozenset({State.PENDING, State.FILTERED, State.WAITING}),
        State.CHARGED: frozenset[str](),
    }

    id = models.BigIntegerField(primary_key=True)
    start_time = models.DateTimeField(_("start"))
    provider_id = models.BigIntegerField(_("provider"))
    provider_call_id = models.CharField(_("provider's call id"), max_length=128)
    leg = models.CharField(_("leg"), max_length=4)
    part = models.CharField(max_length=64, blank=True)
    call_id = models.CharField(_("our call"), max_length=64, blank=True)
    call_type = models.CharField(_("call type"), max_length=16)
    caller = models.CharField(_("caller"), max_length=64, blank=True)
    called = models.CharField(_("called"), max_length=64, blank=True)
    display_number = models.CharField(_("display number"), max_length=64, blank=True)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    a_answer_time = models.DateTimeField(_("agent answered"), null=True)
    answer_time = models.DateTimeField(_("answered"), null=True)
    end_time = models.DateTimeField(_("end"), null=True)
    duration_seconds = models.IntegerField(_("duration (s)"), null=True)
    billable_seconds = models.IntegerField(_("billable (s)"), default=0)
    answer_basis = models.CharField(_("answer of"), max_length=10)
    hangup_cause = models.CharField(pgettext_lazy("call", "cause"), max_length=20)
    hangup_by = models.CharField(_("hung up by"), max_length=10, blank=True)
    recording_url = models.CharField(_("recording"), max_length=255, blank=True)
    provider_cost = models.CharField(_("provider's cost"), max_length=40, blank=True)
    complete = models.BooleanField(_("whole call"))
    version = models.PositiveSmallIntegerField(_("version"), default=1)
    trunk = models.CharField(_("trunk"), max_length=64, blank=True)
    carrier = models.CharField(_("carrier"), max_length=64, blank=True)
    user_data = models.CharField(_("sender's own text"), max_length=255, blank=True)
    warnings = models.CharField(_("warnings"), max_length=300, blank=True)
    delivery_id = models.BigIntegerField(_("delivery"))
    received_at = models.DateTimeField(_("received"))
    # the charge
    state = models.CharField(_("state"), max_length=12, choices=State.choices)
    rule = models.CharField(_("rule"), max_length=40, blank=True)
    charge_key = models.CharField(_("charge key"), max_length=128)
    label = models.CharField(_("service"), max_length=64, blank=True)
    accno = models.CharField(_("account"), max_length=20, blank=True)
    billed = models.BooleanField(_("charged"), default=False)
    billed_at = models.DateTimeField(_("charged at"), null=True)
    bill_attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    bill_error = models.CharField(_("why not charged"), max_length=300, blank=True)
    next_bill_at = models.DateTimeField(_("next attempt"), null=True)
    cost = models.DecimalField(_("cost"), max_digits=20, decimal_places=6, default=Decimal(0))
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    svcno = models.CharField(pgettext_lazy("record", "service number"), max_length=32, blank=True)
    service_record_id = models.BigIntegerField(_("service record"), null=True)
    revision = models.IntegerField(default=1)

    class Meta:
        db_table = "call_records"
        verbose_name, verbose_name_plural = _("call record"), _("call records")
        indexes = [
            models.Index(fields=["called", "start_time"], name="call_record_called"),
            models.Index(fields=["organization", "start_time"], name="call_record_organization"),
            models.Index(
                fields=["state", "next_bill_at"], condition=Q(billed=False) & ~Q(state="filtered"),
                name="call_record_unbilled",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return str(self.pk)


class CallKey(models.Model):
    """`<provider row>:<provider's call id>:<leg>[:<part>]` names one record for ever; not partitioned, so that no
    partition can hold it twice."""

    key = models.CharField(max_length=128, primary_key=True)
    record_id = models.BigIntegerField()
    start_time = models.DateTimeField()

    class Meta:
        verbose_name, verbose_name_plural = _("call key"), _("call keys")

    def __str__(self) -> str:
        return self.key


class CallDetail(models.Model):
    """One later delivery about a record: what it changed, or what it would have changed."""

    class Kind(models.TextChoices):
        UPDATE = "update", _("update")
        CONFLICT = "conflict", _("conflict")

    record_id = models.BigIntegerField(db_index=True)
    delivery_id = models.BigIntegerField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    before = models.JSONField()
    after = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("history of a record"), _("histories of records")

    def __str__(self) -> str:
        return f"{self.kind} of {self.record_id}"


class FilterDecision(models.Model):
    """Why a record was not charged: the rule, its version then, and the fact."""

    record_id = models.BigIntegerField(primary_key=True)
    rule = models.CharField(_("rule"), max_length=40)
    version = models.PositiveIntegerField(_("version"))
    because = models.CharField(_("because"), max_length=200)
    decided_at = models.DateTimeField(pgettext_lazy("filter", "decided"))

    class Meta:
        verbose_name, verbose_name_plural = _("filter decision"), _("filter decisions")

    def __str__(self) -> str:
        return f"{self.record_id} {self.rule}"
