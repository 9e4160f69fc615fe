"""finance.alerts: one alert each time the threshold is crossed downwards, in words, to webhooks and to the people who
should know; and the log of them on the account's page."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import translation

from billing_platform import clock
from billing_platform.celery import BEAT
from billing_platform.models import Membership, Notice, OutboxEvent, Role, WebhookDelivery, WebhookEndpoint
from billing_platform.outbox import relay_outbox
from billing_platform.webhooks import new_secret, sealed_secret
from finance import alerts
from finance.alerts import WORDINGS, list_alerts, tell_alerts
from ledger.accounts import Account, read_account, resume_account, set_limits, suspend_account
from ledger.funding import Funding, adjust, top_up
from tests.billing_platform.receiver import Receiver, answer, receiving
from tests.ledger_facts import NOON, funded_account

KINDS = {"account.low_balance", "account.overdrawn", "account.state"}


@pytest.fixture
def receiver(settings: object) -> Iterator[Receiver]:
    settings.OUTSIDE_ALLOWED_PRIVATE_NETS = ["127.0.0.0/8"]  # type: ignore[attr-defined]
    with receiving() as running:
        yield running


@pytest.fixture
def account() -> Account:
    """Has 10, warns below 5; somebody of finance and a supervisor should know, an agent and others should not."""
    found = funded_account("10")
    for name, organization, role in (
        ("fiona", "acme", Role.FINANCE), ("sven", "acme", Role.SUPERVISOR), ("sven", "acme", Role.FINANCE),
        ("anna", "acme", Role.AGENT), ("eve", "echo", Role.FINANCE), ("gone", "acme", Role.FINANCE),
    ):  # fmt: skip
        user, _created = User.objects.get_or_create(username=name, defaults={"is_active": name != "gone"})
        Membership.objects.create(user=user, organization=organization, role=role)
    return set_limits(found.accno, credit_limit=Decimal(0), warning_threshold=Decimal(5))


def spend(account: Account, amount: str, reference: str) -> None:
    adjust(Funding(account.accno, -Decimal(amount), reference, NOON))


def pay_in(account: Account, amount: str, reference: str) -> None:
    top_up(Funding(account.accno, Decimal(amount), reference, NOON))


def told() -> list[tuple[str, str, str]]:
    """Who was told what, in English, in the order of the events."""
    with translation.override("en"):
        return [
            (notice.user.username, str(WORDINGS[notice.kind]) % notice.facts, notice.path)
            for notice in Notice.objects.select_related("user").order_by("id")
        ]


@pytest.mark.django_db
def test_crossing_downwards_is_one_alert_and_crossing_again_is_a_second(account: Account) -> None:
    spend(account, "5", "to the threshold itself")
    assert tell_alerts(at=clock.now()) == 0
    spend(account, "1.5", "below")
    spend(account, "0.5", "still below")

    assert [tell_alerts(at=clock.now()) for _round in range(2)] == [1, 0]
    first = f"Account {account.accno} has ¥3.50 left, less than its warning threshold."
    page = f"/finance/accounts/{account.accno}/"
    assert told() == [("fiona", first, page), ("sven", first, page)]

    pay_in(account, "10", "more")
    spend(account, "9", "again")
    assert tell_alerts(at=clock.now()) == 1
    second = f"Account {account.accno} has ¥4.00 left, less than its warning threshold."
    assert told()[2:] == [("fiona", second, page), ("sven", second, page)]
    with translation.override("en"):
        assert [alert.text for alert in list_alerts(read_account(account.id))] == [second, first]
    assert BEAT["finance.tasks.tell_alerts_task"] + BEAT["billing_platform.tasks.relay_outbox_task"] < 60


@pytest.mark.django_db
def test_what_happens_to_an_account_is_told_in_words_in_both_languages(account: Account) -> None:
    suspend_account(account.accno)
    resume_account(account.accno)
    spend(account, "13.2", "debt")
    pay_in(account, "4", "enough")
    set_limits(account.accno, credit_limit=Decimal(5), warning_threshold=Decimal(0))
    spend(account, "4", "on credit")
    set_limits(account.accno, credit_limit=Decimal(1), warning_threshold=Decimal(0))
    number = f"Account {account.accno}"

    with translation.override("en"):
        shown = [alert.text for alert in reversed(list_alerts(account))]
    with translation.override("zh-hans"):
        chinese = [alert.text for alert in reversed(list_alerts(account))]

    assert shown == [
        f"{number} was suspended: new calls are refused.",
        f"{number} may start calls again.",
        f"{number} owes ¥3.20; it fell below its warning threshold.",
        f"{number} owes ¥3.20, more than its credit limit: new calls are refused.",
        f"{number} may start calls again.",
        f"{number} owes ¥3.20; it fell below its warning threshold.",
        f"{number} is past its new credit limit: new calls are refused.",
    ]
    assert len(chinese) == 7
    for text in chinese:
        assert account.accno in text
        assert not set("%{}") & set(text)
        assert any("一" <= letter <= "鿿" for letter in text)


def test_no_wording_asks_for_a_fact_that_nobody_gives() -> None:
    facts = alerts.facts_of({}, accno="C00000001", currency="CNY")

    for language in ("en", "zh-hans"):
        with translation.override(language):
            texts = [str(wording) % facts for wording in WORDINGS.values()]
        assert all("C00000001" in text and "%" not in text for text in texts)


@pytest.mark.django_db
def test_what_is_older_than_a_day_or_of_nobody_is_no_news(account: Account) -> None:
    suspend_account(account.accno)
    suspend_account(funded_account(organization="nobody").accno)

    assert tell_alerts(at=clock.now() + timedelta(days=1, minutes=1)) == 0
    assert tell_alerts(at=clock.now()) == 1


@pytest.mark.django_db(transaction=True)
def test_only_the_few_events_about_accounts_are_read(account: Account) -> None:
    """The indexes hold these topics alone; the planner sees that the questions stay inside."""
    topics = alerts.TOPICS
    OutboxEvent.objects.bulk_create(
        OutboxEvent(
            topic=topics[0] if number % 50 == 0 else "cdr.charged", subject=f"{account.accno}-{number}",
            organization="acme", payload={}, next_attempt_at=clock.now(),
        )
        for number in range(1000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_platform_outboxevent")  # whether autovacuum was here decides nothing
        cursor.execute(
            "EXPLAIN SELECT id FROM billing_platform_outboxevent WHERE topic IN %s AND created_at > now()", [topics]
        )
        by_time = " ".join(line for (line,) in cursor.fetchall())
    with connection.cursor() as cursor:
        query, values = (
            OutboxEvent.objects.filter(subject=account.accno, topic__in=topics)
            .order_by("-id")[:50]
            .query.sql_with_params()
        )
        cursor.execute(f"EXPLAIN {query}", values)
        by_account = " ".join(line for (line,) in cursor.fetchall())

    assert set(topics) == KINDS
    assert "outbox_about_accounts" in by_time or "outbox_of_account" in by_time  # both hold these topics alone
    assert "outbox_of_account" in by_account


@pytest.mark.django_db(transaction=True)
def test_the_relay_delivers_it_and_the_page_says_what_became_of_it_at_each_webhook(
    account: Account, receiver: Receiver
) -> None:
    def shown() -> list[tuple[str, str, str, str]]:
        with translation.override("en"):
            newest = list_alerts(account)[0]
        return [(heard.host, heard.state, heard.text, heard.error) for heard in newest.heard]

    def listen(url: str) -> WebhookEndpoint:
        return WebhookEndpoint.objects.create(
            organization="acme", url=url, topics=["*"], secret=sealed_secret(new_secret())
        )

    spend(account, "6", "below")
    waiting = shown()
    relay_outbox()
    unheard = shown()
    listen(receiver.url)
    gone = listen("https://10.0.0.1/hooks")  # a place that we must not reach
    pay_in(account, "6", "more")
    spend(account, "6", "again")
    receiver.script = [answer(500)]
    relay_outbox()
    failing = shown()
    WebhookDelivery.objects.filter(state="pending").update(next_attempt_at=clock.now())
    gone.delete()
    relay_outbox()

    assert waiting == [("", "pending", "on its way", "")]
    assert unheard == [("", "unheard", "no webhook wants it", "")]
    assert failing == [
        ("127.0.0.1", "failing", "try 1 failed, will be repeated", "HTTP 500"),
        ("10.0.0.1", "failing", "try 1 failed, will be repeated", "address_refused"),
    ]
    told, dropped = shown()
    local = clock.now().astimezone(ZoneInfo("Asia/Shanghai"))
    assert told in [
        ("127.0.0.1", "delivered", f"delivered at {at:%m-%d %H:%M}", "") for at in (local, local - timedelta(minutes=1))
    ]
    assert dropped == (
        "10.0.0.1", "dropped", "not sent any more: the webhook was switched off or removed", "address_refused",
    )  # fmt: skip
    assert len(receiver.requests) == 2
    assert b'"type": "account.low_balance"' in receiver.requests[1][1]
    WebhookDelivery.objects.filter(state="delivered").update(state="dead", last_error="HTTP 500", attempts=10)
    assert shown()[0] == ("127.0.0.1", "dead", "given up after 10 tries", "HTTP 500")
