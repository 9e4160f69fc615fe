"""What was told about an account: the log on its page with the state of delivery, and the notices to its people.

Both are read from the durable events, after the charge and beside it: posting knows nothing of either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from django.db import connection
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_platform.models import OutboxEvent, Role, WebhookDelivery
from billing_platform.notices import notify
from billing_platform.templatetags.figures import amount
from ledger.accounts import Account

TOPICS = ("account.low_balance", "account.overdrawn", "account.state")
SHOWN_MAX = 50
TOLD_AT_ONCE = 500
TOLD_WITHIN = timedelta(days=1)  # an outage may last as long; what is older is no news
TOLD_ROLES = (Role.FINANCE.value, Role.SUPERVISOR.value)
WORDINGS: dict[str, "str | Promise"] = {  # also the notices' (registry.NOTICE_WORDINGS)
    "account.low_balance": gettext_lazy("Account %(accno)s has %(balance)s left, less than its warning threshold."),
    "account.owes": gettext_lazy("Account %(accno)s owes %(balance)s; it fell below its warning threshold."),
    "account.overdrawn": gettext_lazy(
        "Account %(accno)s owes %(balance)s, more than its credit limit: new calls are refused."
    ),
    "account.limited": gettext_lazy("Account %(accno)s is past its new credit limit: new calls are refused."),
    "account.suspended": gettext_lazy("Account %(accno)s was suspended: new calls are refused."),
    "account.active": gettext_lazy("Account %(accno)s may start calls again."),
    "account.closed": gettext_lazy("Account %(accno)s was closed for good."),
}
_KIND_OF_STATE = {"overdrawn": "account.limited"}  # without a balance: not by a charge, the limits were changed
# What nobody of these people was told yet, with who they are.
_UNTOLD = """
    SELECT e.id, e.topic, e.payload ->> 'state', e.payload ->> 'balance', a.accno, a.currency, array_agg(u.username)
    FROM billing_platform_outboxevent e
    JOIN ledger_account_facts a ON a.accno = e.subject
    JOIN billing_platform_membership m ON m.organization = e.organization AND m.role = ANY(%(roles)s)
    JOIN auth_user u ON u.id = m.user_id AND u.is_active
    WHERE e.topic IN %(topics)s AND e.created_at > %(since)s
      AND NOT EXISTS (SELECT FROM billing_platform_notice n WHERE n.user_id = u.id AND n.key = 'account-event-' || e.id)
    GROUP BY e.id, a.accno, a.currency ORDER BY e.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of an alert at one webhook, `host`; "" where it is of none. `text` says it in words; `state` is one
    of pending, failing, delivered, dropped (switched off or removed), dead and unheard (no webhook wants it)."""

    host: str
    state: str
    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that was told about the account, and how each webhook heard it."""

    at: datetime
    text: str
    heard: tuple[Heard, ...]


def list_alerts(account: Account) -> list[Alert]:
    """The newest 50 of the account, newest first."""
    events = OutboxEvent.objects.filter(subject=account.accno, topic__in=TOPICS).order_by("-id")
    return [_alert(event, account) for event in events.prefetch_related("deliveries")[:SHOWN_MAX]]


def tell_alerts(*, at: datetime) -> int:
    """Notices for the people of finance and the supervisors of the account's organisation, each event to each person
    once; answers for how many events."""
    with connection.cursor() as cursor:
        cursor.execute(
            _UNTOLD,
            {"roles": list(TOLD_ROLES), "topics": TOPICS, "since": at - TOLD_WITHIN, "limit": TOLD_AT_ONCE},
        )
        rows = cursor.fetchall()
    for event_id, topic, state, balance, accno, currency, usernames in rows:
        payload = {"state": state, "balance": balance}
        notify(
            usernames, kind=kind_of(topic, payload), facts=facts_of(payload, accno=accno, currency=currency),
            path=reverse("finance_account", args=[accno]), key=f"account-event-{event_id}",
        )  # fmt: skip
    return len(rows)


def kind_of(topic: str, payload: Mapping[str, str]) -> str:
    """Which wording tells this event."""
    if topic == "account.state":
        return _KIND_OF_STATE.get(payload["state"], f"account.{payload['state']}")
    if topic == "account.low_balance" and Decimal(payload["balance"]) < 0:
        return "account.owes"
    return topic


def facts_of(payload: Mapping[str, str], *, accno: str, currency: str) -> dict[str, str]:
    """What the wordings are filled with; the same in every language."""
    return {"accno": accno, "balance": amount(payload.get("balance") or "0", currency)}


def _alert(event: OutboxEvent, account: Account) -> Alert:
    facts = facts_of(event.payload, accno=account.accno, currency=account.currency)
    text = str(WORDINGS[kind_of(event.topic, event.payload)]) % facts
    deliveries = sorted(event.deliveries.all(), key=lambda delivery: delivery.pk)
    return Alert(event.created_at, text, tuple(map(_heard, deliveries)) or (_not_addressed(event),))


def _not_addressed(event: OutboxEvent) -> Heard:
    if event.state == OutboxEvent.State.DELIVERED:
        return Heard("", "unheard", _("no webhook wants it"))
    return Heard("", "pending", _("on its way"))


def _heard(delivery: WebhookDelivery) -> Heard:
    state, text = _delivery(delivery)
    return Heard(urlsplit(delivery.url).hostname or "", state, text, delivery.last_error)


def _delivery(delivery: WebhookDelivery) -> tuple[str, str]:
    """State and words of one way to one webhook."""
    tries = {"count": delivery.attempts}
    match delivery.state:
        case WebhookDelivery.State.DEAD:
            return "dead", _("given up after %(count)s tries") % tries
        case WebhookDelivery.State.DROPPED:
            return "dropped", _("not sent any more: the webhook was switched off or removed")
        case WebhookDelivery.State.PENDING if delivery.last_error:
            return "failing", _("try %(count)s failed, will be repeated") % tries
        case WebhookDelivery.State.PENDING:
            return "pending", _("on its way")
    assert delivery.tried_at is not None  # what was delivered was sent
    return "delivered", _("delivered at %(time)s") % {"time": f"{localtime(delivery.tried_at):%m-%d %H:%M}"}
