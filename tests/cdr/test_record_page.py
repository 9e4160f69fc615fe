"""S8 without a browser: for each kind of call the sentence's amount is the ledger's; who may see what."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform import clock
from billing_platform.models import Membership, Role
from cdr.models import CallRecord
from cdr.schedule import CHINA
from counter import metering
from counter.metered import Submission
from counter.models import ServiceRecord
from counter.replacing import Replacement, replace_charges
from counter.uses import CallFacts, ServiceUse
from tests.cast import make_deck, make_item, price_by, publish_deck
from tests.cdr.desk import Desk, Sender, an_hour_ago, call, make_sender
from tests.processes import running_counter

TERMS = "prefix,rate,first_increment,next_increment,min_charge,cap,cap_kind,free_kind,free_seconds"
KINDS: dict[str, tuple[str, int, str, str]] = {  # the deck's line, seconds, amount, what the sentence says
    "normal": (",0.12,60,60,,,,,", 95, "0.24", "2 × ¥0.12 = ¥0.2400"),
    "minimum": (",0.05,1,1,0.15,,,,", 1, "0.15", "up to the minimum charge ¥"),
    "capped": (",0.12,60,60,,1.00,free,,", 1000, "1.00", "− down to the cap ¥1.04 = ¥1.0000"),
    "free": (",0.10,60,60,,,,free_first_n,120", 95, "0.00", "First 120 s free ¥0.00 = ¥0.0000"),
    "short": (",0.10,60,60,,,,free_if_shorter_than,120", 95, "0.00", "Nothing to pay = ¥0.0000"),
    "legs": (",0.12,60,6,,,,,", 95, "0.396", ""),
    "fourteen": ("14,0.10,60,60,,,,,", 95, "1.20", ""),
    "moving": ("13,0.12,60,60,,,,,", 95, "0.24", ""),
}


@pytest.fixture(scope="module")
def desk(module_database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Decks stand before the counter starts, so that it knows them at once."""
    make_item("callback", "by_deck")
    make_item("direct", "by_deck", legs="both")
    make_deck("main", ",0.12,60,60")
    make_deck("default", ",0.60,60,60")
    for code, (line, *_rest) in KINDS.items():
        make_deck(code, line, columns=TERMS)
    directory = tmp_path_factory.mktemp("desk")
    with running_counter(directory) as counter:
        yield Desk(counter, directory)


def person(organization: str, role: Role, *, language: str = "en") -> Client:
    user, _new = User.objects.get_or_create(username=f"{organization}-{role}-page", is_staff=role != Role.AGENT)
    Membership.objects.get_or_create(user=user, organization=organization, role=role)
    client = Client(headers={"accept-language": language})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page_of(sender: Sender, record: CallRecord, role: Role = Role.OPS, *, language: str = "en") -> str:
    response = person(sender.organization, role, language=language).get(f"/cdr/{record.pk}/")
    assert response.status_code == 200
    return str(response.content.decode())


def values(html: str, testid: str, name: str = "data-amount") -> list[str]:
    tags = re.findall(rf'<[^>]*data-testid="{testid}"[^>]*>', html)
    return [found[1] for tag in tags if (found := re.search(rf'{name}="([^"]*)"', tag))]


def text_of(html: str, testid: str) -> str:
    found = re.search(rf'data-testid="{testid}"[^>]*>(.*?)</p>', html, re.DOTALL)
    return re.sub(r"<[^>]+>|\s+", " ", found[1]).strip() if found else ""


def posted(sender: Sender, **fields: Any) -> CallRecord:
    sender.post(call(**fields))
    return sender.records[-1]


@pytest.mark.parametrize("kind", ["normal", "minimum", "capped", "free", "short"])
def test_the_sentence_is_the_ledger(desk: Desk, kind: str) -> None:
    _line, seconds, amount, said = KINDS[kind]
    sender = make_sender(deck=kind)
    record = posted(sender, seconds=seconds)

    english, chinese = (page_of(sender, record, language=language) for language in ("en", "zh-hans"))

    for html in (english, chinese):
        assert Decimal(values(html, "sentence")[0]) == Decimal(amount) == record.cost
        assert values(html, "ledger-sum") == [amount]
        assert sum(map(Decimal, values(html, "transfer-change")), Decimal(0)) == -Decimal(amount)
    assert said in text_of(english, "sentence")
    assert values(english, "step-amount") == values(chinese, "step-amount")
    figures = [re.findall(r"[0-9.]+", text_of(html, "sentence")) for html in (english, chinese)]
    assert len(figures[0]) >= 5
    assert "priced as" not in chinese
    assert "Deck" not in text_of(chinese, "sentence")


def test_two_legs_are_two_sentences_and_their_sum(desk: Desk) -> None:
    sender = make_sender(label="direct", deck="legs")
    record = posted(sender, seconds=95, call_type="direct")

    html = page_of(sender, record, Role.FINANCE)

    assert values(html, "leg", "data-leg") == ["a", "b"]
    assert [str(Decimal(amount)) for amount in values(html, "sentence")] == ["0.2040", "0.1920"]
    assert values(html, "sentence-sum") == values(html, "ledger-sum") == ["0.396"]
    assert record.cost == Decimal("0.396")


def test_the_default_rate_is_named_with_its_reason(desk: Desk) -> None:
    sender = make_sender(deck="fourteen")
    record = posted(sender, seconds=95)

    english, chinese = (page_of(sender, record, language=language) for language in ("en", "zh-hans"))

    assert values(english, "default-rate", "data-code") == ["no_rate"]
    assert values(english, "deck", "data-deck") == ["default"]
    assert values(english, "sentence") == ["1.2000"]
    assert values(english, "ledger-sum") == values(chinese, "ledger-sum") == ["1.20"]
    assert "默认费率" in chinese


def test_a_filtered_call_says_which_rule_and_why(desk: Desk) -> None:
    sender = make_sender()
    record = posted(sender, seconds=0)

    english, chinese = (page_of(sender, record, language=language) for language in ("en", "zh-hans"))

    assert text_of(english, "sentence") == "Left free by the filter “too short”: answered for 0 s, under 1 s."
    assert text_of(chinese, "sentence") == "过滤规则“通话过短”使本次通话免费：接通 0 秒，不足 1 秒。"
    assert values(english, "filter", "data-rule") == ["too_short"]
    assert values(english, "ledger-sum") == []


def test_a_failed_charge_says_why_and_what_comes_next(desk: Desk) -> None:
    sender = make_sender()
    record = posted(sender, call_type="softphone")

    english, chinese = (page_of(sender, record, language=language) for language in ("en", "zh-hans"))

    assert values(english, "record", "data-state") == ["review"]
    assert "The charge has not come about:" in text_of(english, "sentence")
    assert "尚未扣费" in text_of(chinese, "sentence")
    assert record.bill_error.partition(":")[0] in english


def test_a_refunded_call_shows_what_was_and_what_is(desk: Desk) -> None:
    sender = make_sender()
    record = posted(sender, seconds=95)
    use = ServiceRecord.objects.get(pk=record.service_record_id)
    nothing = ServiceUse(
        sender.account.accno, "callback", use.providerno, use.start_at, use.start_at,
        organization=sender.organization, call=CallFacts("13800000001", "13800000002", answered=False),
        correction="refund-1",
    )  # fmt: skip
    metering.end_services([Submission(nothing)], at=clock.now())

    html = page_of(sender, record, Role.FINANCE)

    assert values(html, "sentence") == ["0.00"]
    assert (values(html, "cost"), values(html, "ledger-sum")) == (["0.00"], ["0.00"])
    assert (values(html, "old-cost"), values(html, "old-sentence")) == (["0.24"], ["0.2400"])
    assert values(html, "transfer-change") == ["-0.24", "0.24"]


def test_a_call_charged_anew_shows_old_and_new(desk: Desk) -> None:
    sender = make_sender()
    record = posted(sender, seconds=95)
    assert record.service_record_id is not None
    price_by("legs", label="callback", organization=sender.organization)

    (replaced,) = replace_charges(
        [Replacement(record.service_record_id, clock.now())], cause="rerate:1", at=clock.now()
    )
    html = page_of(sender, record, Role.FINANCE)

    assert (values(html, "old-cost"), values(html, "old-sentence")) == (["0.24"], ["0.2400"])
    assert (values(html, "cost"), values(html, "sentence")) == (["0.192"], ["0.1920"])
    assert values(html, "transfer-change") == ["-0.24", "0.24", "-0.192"]
    assert values(html, "ledger-sum") == ["0.192"]
    assert replaced.new == Decimal("0.192")


def test_an_old_call_keeps_its_version(desk: Desk) -> None:
    sender = make_sender(deck="moving")
    record = posted(sender, seconds=95)
    before = page_of(sender, record)

    publish_deck("moving", "13,0.50,60,60,,,,,", "1380,0.40,60,60,,,,,", columns=TERMS)
    after = page_of(sender, record)

    for html in (before, after):
        assert values(html, "deck", "data-version") == ["1"]
        assert values(html, "sentence") == ["0.2400"]
    assert values(before, "loser", "data-because") == values(after, "loser", "data-because")


def test_costs_and_bodies_are_for_those_who_may_see_them(desk: Desk) -> None:
    sender = make_sender()
    use = posted(sender, seconds=95)
    ServiceRecord.objects.filter(pk=use.service_record_id).update(supplier_cost=Decimal("0.0642"))

    pages = {role: page_of(sender, use, role) for role in (Role.SUPERVISOR, Role.FINANCE, Role.OPS, Role.AUDITOR)}

    assert [role for role, html in pages.items() if values(html, "supplier-cost") == ["0.0642"]] == [
        Role.FINANCE, Role.OPS, Role.AUDITOR,
    ]  # fmt: skip
    assert "0.0642" not in pages[Role.SUPERVISOR]
    assert [role for role, html in pages.items() if 'data-testid="body"' in html] == [Role.OPS, Role.AUDITOR]
    assert "13800000002" not in pages[Role.OPS] + pages[Role.AUDITOR]
    assert "13800000002" in pages[Role.SUPERVISOR]
    assert "138****0002" in pages[Role.OPS]


def test_others_see_nothing(desk: Desk) -> None:
    owner, stranger = make_sender(), make_sender()
    record = posted(owner)

    answers = [
        person(stranger.organization, Role.OPS).get(f"/cdr/{record.pk}/").status_code,
        person(owner.organization, Role.AGENT).get(f"/cdr/{record.pk}/").status_code,
        person(owner.organization, Role.OPS).get("/cdr/1/").status_code,
        person(owner.organization, Role.OPS).post(f"/cdr/{record.pk}/").status_code,
        Client().get(f"/cdr/{record.pk}/").status_code,
    ]

    assert answers == [404, 404, 404, 405, 302]


def test_later_deliveries_and_hostile_text_are_shown_harmlessly(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago() - timedelta(minutes=5)
    first = call(seconds=95, start=start, user_data="<script>alert(1)</script>", recording_url="https://x.example/a")
    sender.post(first)
    clock.set_test_instant(clock.now() - timedelta(seconds=2))  # of a process whose clock is behind
    sender.post(first | {"recording_url": "https://rec.example.com/4.mp3"})
    (record,) = sender.records

    html = page_of(sender, record)

    assert len(values(html, "delivery", "data-delivery")) == 2
    assert values(html, "detail", "data-kind") == ["update"]
    assert "<script>alert" not in html


def test_who_may_ask_for_a_re_rating_is_led_to_it(desk: Desk) -> None:
    sender = make_sender(deck="main")
    record = posted(sender, seconds=95)
    asked = f"/cdr/rerate/?period={record.answer_time.astimezone(CHINA):%Y-%m}&amp;use={record.service_record_id}"

    for role in (Role.RATE_ADMIN, Role.OPS, Role.FINANCE):
        assert values(page_of(sender, record, role), "rerate-link", "href") == [asked]
    for role in (Role.SUPERVISOR, Role.AUDITOR, Role.PLATFORM_ADMIN):
        assert values(page_of(sender, record, role), "rerate-link", "href") == []
