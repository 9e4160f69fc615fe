"""Rows that every room stands on: who may call, answers kept for repeats, durable events, runs, and the audit trail."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing_platform import clock


class Role(models.TextChoices):
    """What a person may be in an organisation; several at once."""

    AGENT = "agent", _("agent")
    SUPERVISOR = "supervisor", _("supervisor")
    RATE_ADMIN = "rate_admin", _("rate administrator")
    OPS = "ops", _("operations")
    FINANCE = "finance", _("finance")
    AUDITOR = "auditor", _("auditor")
    PLATFORM_ADMIN = "platform_admin", _("platform administrator")


class Scope(models.TextChoices):
    """What a program's key may do."""

    CDR_WRITE = "cdr:write"
    CDR_READ = "cdr:read"
    CALL_WRITE = "call:write"
    CALL_READ = "call:read"
    RATE_WRITE = "rate:write"
    RATE_READ = "rate:read"
    ORDER_WRITE = "order:write"
    ORDER_READ = "order:read"
    ORDER_REFUND = "order:refund"
    USAGE_WRITE = "usage:write"
    FINANCE_READ = "finance:read"
    FINANCE_WRITE = "finance:write"
    LEDGER_READ = "ledger:read"
    LEDGER_WRITE = "ledger:write"
    COUNTER_READ = "counter:read"
    COUNTER_USE = "counter:use"
    COUNTER_ADMIN = "counter:admin"
    IVR_PUSH = "ivr:push"
    GATEWAY = "gateway"


class Membership(models.Model):
    """A person holds a role in an organisation (named by its code); several rows for several roles."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("person"))
    organization = models.CharField(_("organisation"), max_length=64)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("membership"), _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "organization", "role"], name="membership_once")]
        indexes = [models.Index(fields=["organization", "role"], name="membership_by_organization")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} @ {self.organization}"


class ApiKey(models.Model):
    """A program's key `<key_id>.<secret>`; only a keyed hash is stored; two secrets live in a rotation."""

    key_id = models.CharField(_("key id"), max_length=24, unique=True)
    name = models.CharField(_("name"), max_length=100)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices), verbose_name=_("scopes"))
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True, verbose_name=_("source networks"))
    secret_hash = models.BinaryField(max_length=32)
    previous_hash = models.BinaryField(max_length=32, null=True)
    previous_until = models.DateTimeField(_("old secret valid until"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("API key"), _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"


class KeyGeneration(models.Model):
    """One row, raised by a trigger with every change of a key."""

    number = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.number)


class StoredAnswer(models.Model):
    """The first answer to a request with an Idempotency-Key, for 24 h; `answered_at` null means still running."""

    organization = models.CharField(max_length=64)
    caller = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "caller", "path", "key"], name="stored_answer_once")
        ]
        indexes = [models.Index(fields=["created_at"], name="stored_answer_age")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"


class OutboxEvent(models.Model):
    """A fact that others are told about; written in the transaction that makes it true, relayed afterwards.

    State, tries and error sum up its deliveries: pending while one of them is, dead when one was given up.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("dead letter")

    TRANSITIONS = {
        State.PENDING: frozenset({State.DELIVERED, State.DEAD}),
        State.DEAD: frozenset({State.PENDING}),
        State.DELIVERED: frozenset[str](),
    }

    topic = models.CharField(_("topic"), max_length=60)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    subject = models.CharField(_("subject"), max_length=128)
    payload = models.JSONField(_("payload"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), db_default=Now())
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("event"), _("events")
        indexes = [
            models.Index(fields=["next_attempt_at"], name="outbox_due", condition=models.Q(state="pending")),
            models.Index(fields=["topic"], name="outbox_dead", condition=models.Q(state="dead")),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.subject}"


class WebhookEndpoint(models.Model):
    """Where an organisation wants its events: address, topics, signing secret (encrypted at rest)."""

    organization = models.CharField(_("organisation"), max_length=64)
    url = models.URLField(_("address"), max_length=500)
    topics = ArrayField(models.CharField(max_length=60), verbose_name=_("topics"))
    secret = models.BinaryField()
    enabled = models.BooleanField(_("enabled"), default=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=clock.now, db_default=Now())  # gets nothing older

    class Meta:
        verbose_name, verbose_name_plural = _("webhook endpoint"), _("webhook endpoints")

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint, with tries, state and error of its own.

    It outlives its endpoint, whose row may be gone; `url` is where it was last sent, or was to be sent.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("dead letter")
        DROPPED = "dropped", _("endpoint switched off or removed")

    TRANSITIONS = {
        State.PENDING: frozenset({State.DELIVERED, State.DEAD, State.DROPPED}),
        State.DEAD: frozenset({State.PENDING}),
        State.DELIVERED: frozenset[str](),
        State.DROPPED: frozenset[str](),
    }
    ORGANIZATION_PATH = "event__organization"

    event = models.ForeignKey(
        OutboxEvent, models.CASCADE, related_name="deliveries", db_index=False, verbose_name=_("event")
    )  # the index of the constraint below begins with it
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.DO_NOTHING, related_name="+", db_constraint=False, verbose_name=_("webhook endpoint")
    )
    url = models.CharField(_("address"), max_length=500)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"))
    tried_at = models.DateTimeField(_("last attempt"), null=True)
    last_error = models.CharField(_("last error"), max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("webhook delivery"), _("webhook deliveries")
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhook_delivery_once")]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="webhook_delivery_due", condition=models.Q(state="pending")),
            models.Index(fields=["-id"], name="webhook_delivery_dead", condition=models.Q(state="dead")),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.url}"


class Notice(models.Model):
    """Something that a person is told: a kind that a room words, its facts, and the page where it leads."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("person"))
    key = models.CharField(max_length=128)
    kind = models.CharField(_("kind"), max_length=60)
    facts = models.JSONField(_("facts"), default=dict)
    path = models.CharField(_("address"), max_length=500)
    created_at = models.DateTimeField(_("created"))
    read_at = models.DateTimeField(_("read"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("notice"), _("notices")
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="notice_once"),
            models.CheckConstraint(condition=models.Q(path__regex=r"^/([^/\\]|$)"), name="notice_stays_here"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_by_person"),
            models.Index(fields=["user"], name="notice_unread", condition=models.Q(read_at=None)),
            models.Index(fields=["created_at"], name="notice_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class JobRun(models.Model):
    """One run of a command: arguments, counts, exit code. (job, slot) is unique where a slot is named."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for a worker")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        INTERRUPTED = "interrupted", _("interrupted, resumable")

    TRANSITIONS = {  # a run whose process died is taken up from where its row stands
        State.WAITING: frozenset({State.RUNNING, State.INTERRUPTED}),
        State.RUNNING: frozenset({State.RUNNING, State.DONE, State.FAILED, State.INTERRUPTED}),
        State.FAILED: frozenset({State.RUNNING}),
        State.INTERRUPTED: frozenset({State.WAITING, State.RUNNING}),
        State.DONE: frozenset[str](),
    }

    job = models.CharField(_("job"), max_length=60)
    slot = models.CharField(_("slot"), max_length=40, null=True, blank=True)  # noqa: DJ001  null: no slot, not unique
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.RUNNING)
    arguments = models.JSONField(_("arguments"), default=list)
    started_by = models.CharField(_("started by"), max_length=80, db_default="", blank=True)  # an actor: person:alice
    step = models.CharField(_("step"), max_length=40, db_default="", blank=True)
    done = models.BigIntegerField(_("rows done"), db_default=0)  # of this step
    total = models.BigIntegerField(_("rows in all"), db_default=0)
    rate = models.BigIntegerField(_("rows a second"), db_default=0)
    per_cent = models.SmallIntegerField(_("per cent"), db_default=0)  # of the whole run
    counts = models.JSONField(_("counts"), default=dict)
    log = models.JSONField(_("log"), db_default=models.Value([], models.JSONField()))  # its last lines
    exit_code = models.SmallIntegerField(_("exit code"), null=True)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    cancel_asked_at = models.DateTimeField(_("cancel asked"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("run"), _("runs")
        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="jobrun_slot_once")]
        indexes = [
            models.Index(fields=["job", "-started_at"], name="jobrun_latest"),
            models.Index(fields=["state", "-id"], name="jobrun_by_state"),
            models.Index(fields=["started_by", "-id"], name="jobrun_own", condition=~models.Q(started_by="")),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.started_at:%Y-%m-%d %H:%M}"


class BeatSlot(models.Model):
    """The last slot of a beat job: one row a job, moved forward by `slots.claim_slot`."""

    job = models.CharField(_("job"), max_length=100, primary_key=True)
    slot = models.BigIntegerField(_("slot"))
    claimed_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("beat slot"), _("beat slots")

    def __str__(self) -> str:
        return f"{self.job} {self.slot}"


class AuditEntry(models.Model):
    """Who did what to which object, from where, before and after; append-only by trigger."""

    at = models.DateTimeField(_("time"), db_default=Now())
    actor = models.CharField(_("actor"), max_length=80)
    address = models.CharField(_("address"), max_length=45, blank=True)
    organization = models.CharField(_("organisation"), max_length=64, blank=True)
    act = models.CharField(_("act"), max_length=60)
    object_type = models.CharField(_("object"), max_length=40)
    object_id = models.CharField(_("object id"), max_length=128)
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("audit entry"), _("audit entries")
        indexes = [
            models.Index(fields=["object_type", "object_id", "at"], name="audit_by_object"),
            models.Index(fields=["-at"], name="audit_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.object_type} {self.object_id}"
