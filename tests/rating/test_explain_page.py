"""S5 without a browser: what the page says equals the explanation, and who may see what."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform.models import AuditEntry, Membership, Role
from counter import items, metering
from counter.metered import Submission
from counter.stored import stored_charges
from counter.uses import CallFacts, ServiceUse
from rating import tariffs
from rating.costs import ANY_CATEGORY, ANY_TENANT, COST_PLAN
from rating.expected import failed_expectations
from rating.models import CalendarDay, Deck, DeckVersion, ExpectedPrice, TariffProfile
from tests.cast import acme, make_item, price_by
from tests.rating.deck_files import assign, make_deck, publish

pytestmark = pytest.mark.django_db

PAGE = "/admin/rating/explain/"
COLUMNS = "prefix,destination,rate,first_increment,next_increment,band,priority,connect_fee"
ASKED = {
    "number": "021-60001234", "category": "callback", "subject": "C00000017", "at": "2026-10-10T17:58:30",
    "duration": "125",
}  # fmt: skip


@pytest.fixture
def retail():
    CalendarDay.objects.get_or_create(date="2026-10-10", country="CN", defaults={"day_class": "makeup_workday"})
    make_deck(
        "cn-retail",
        "#!band peak days=workday from=09:00 to=18:00 priority=20",
        "021,上海,0.06,60,6,,,0.05",
        "021,上海,0.12,60,6,peak,,0.05",
        "12590,声讯,禁拨,60,60,,,",
        columns=COLUMNS,
    )
    assign("cn-retail")


def supplier(rate="0.02"):
    make_deck("supplier", f",{rate},60,60", purpose="cost")
    TariffProfile.objects.create(plan=COST_PLAN, tenant=ANY_TENANT, category=ANY_CATEGORY, family="supplier")
    tariffs.refresh()


def person(role, *, organization="demo", language="en"):
    user = User.objects.create_user(f"{role}-{User.objects.count()}", is_staff=role != Role.SUPERVISOR)
    Membership.objects.create(user=user, organization=organization, role=role)
    client = Client(headers={"accept-language": language})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def values(html, testid, name="data-amount"):
    tags = re.findall(rf'<[^>]*data-testid="{testid}"[^>]*>', html)
    return [found[1] for tag in tags if (found := re.search(rf'{name}="([^"]*)"', tag))]


def page_of(client, **asked):
    response = client.get(PAGE, ASKED | asked)
    assert response.status_code == 200
    return response.content.decode()


def test_one_number_in_full(retail):
    supplier()

    html = page_of(person(Role.RATE_ADMIN))

    assert values(html, "amount") == ["0.2660"]
    assert values(html, "step-amount") == ["0.05", "0.12", "0.06", "0.036", "0.2660"]
    assert sum(map(Decimal, values(html, "step-amount")[:-1])) == Decimal("0.2660")
    assert values(html, "loser", "data-because") == ["lower_priority"]
    assert (values(html, "cost"), values(html, "margin")) == (["0.06"], ["0.206"])
    assert values(html, "next-change", "data-at") == ["2026-10-10T18:00:00+08:00"]
    assert (
        "17:58:30 → 18:00:35 = 125 s, priced as 126 s. Deck cn-retail version 1, prefix 8621. Connect fee ¥0.05 + "
        "first minute ¥0.12 (peak) + 5 × ¥0.012 (peak) + 6 × ¥0.006 = ¥0.2660"
    ) in html


def test_the_same_figures_in_both_languages(retail):
    english, chinese = (page_of(person(Role.OPS, language=language)) for language in ("en", "zh-hans"))

    for testid in ("amount", "step-amount"):
        assert values(english, testid) == values(chinese, testid)
    assert "17:58:30 → 18:00:35 = 125 秒，按 126 秒计费。费率表 cn-retail 第 1 版，前缀 8621。" in chinese
    assert "接续费 ¥0.05 + 首分钟 ¥0.12（peak）" in chinese.replace(" (peak)", "（peak）")


def test_costs_are_for_those_who_may_see_them(retail):
    supplier("0.0123")

    shown = {role: page_of(person(role)) for role in (Role.SUPERVISOR, Role.FINANCE, Role.AUDITOR)}
    files = person(Role.SUPERVISOR).get(PAGE, ASKED | {"format": "csv"}).content.decode()

    assert [role for role, html in shown.items() if values(html, "cost") == ["0.0369"]] == [Role.FINANCE, Role.AUDITOR]
    assert "0.0369" not in shown[Role.SUPERVISOR] + files
    assert ['id="nav-sidebar"' in html for html in shown.values()] == [False, True, True]  # no admin for a supervisor
    assert "supplier" not in shown[Role.SUPERVISOR]
    refused = person(Role.SUPERVISOR).get(PAGE, {"number": "021-60001234", "deck": "supplier"})
    assert refused.status_code == 403


def test_other_roles_and_strangers_see_no_page(retail):
    assert person(Role.AGENT).get(PAGE, ASKED).status_code == 403
    assert Client().get(PAGE, ASKED).status_code == 302


def test_another_organisations_tariffs_are_not_asked(retail):
    html = page_of(person(Role.RATE_ADMIN, organization="other"), tenant="demo")

    assert values(html, "answer") == [""]
    assert "no_tariff" in html


def test_a_number_without_a_rate_shows_what_is_near_and_leads_to_a_new_rate(retail):
    make_deck("default", ",0.60,60,60")

    html = page_of(person(Role.RATE_ADMIN), number="020-81234567")

    deck = Deck.objects.get(code="cn-retail")
    assert "<code>8621</code> 上海" in html
    assert f'data-testid="add-rate" href="/admin/rating/deck/{deck.pk}/edit-rates/"' in html
    assert values(html, "policy", "data-action") == ["default_rate"]
    assert "by the default deck default it costs ¥1.8000" in html


def test_the_link_is_the_question(retail):
    client = person(Role.OPS)
    html = page_of(client, at="", subject="")

    (link,) = re.findall(r'href="([^"]*)" data-testid="permalink"', html)
    link = link.replace("&amp;", "&")

    asked = parse_qs(urlsplit(link).query)
    assert datetime.fromisoformat(asked["at"][0]).utcoffset() == timedelta(hours=8)
    first, again = (client.get(link).content.decode() for _ in range(2))
    assert values(first, "amount") == values(again, "amount") != []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"at": "yesterday"}, "at"),
        ({"duration": "a while"}, "duration"),
        ({"version": "2"}, "version"),
        ({"category": ""}, "deck"),
        ({"number": "\n".join(["1"] * 101)}, "number"),
        ({"number": "1" * 200}, "number"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_read_is_said_beside_its_field(retail, wrong, field):
    html = person(Role.OPS).get(PAGE, ASKED | wrong).content.decode()

    assert f'id="{field}-error"' in html
    assert 'data-testid="answer"' not in html


def test_hostile_text_is_only_text(retail):
    html = page_of(person(Role.OPS), number='<script>alert(1)</script>"', caller="{{7*7}}")

    assert "<script>alert(1)" not in html
    assert "bad_number" in html


def test_a_test_case_is_kept_with_the_deck_and_asked_again(retail):
    client = person(Role.RATE_ADMIN)

    kept = client.post(PAGE + "keep/", ASKED | {"kept_with": "cn-retail", "name": "Saturday"})
    twice = client.post(PAGE + "keep/", ASKED | {"kept_with": "cn-retail", "name": "Saturday"}, follow=True)
    client.post(PAGE + "keep/", ASKED | {"kept_with": "cn-retail", "name": "voice", "number": "12590"})

    assert kept.status_code == 302
    assert "already has a test case" in twice.content.decode()
    case = ExpectedPrice.objects.get(name="Saturday")
    assert (case.amount, case.error, case.question["destination"]) == (Decimal("0.2660"), "", "021-60001234")
    assert ExpectedPrice.objects.get(name="voice").error == "blocked"
    entry = AuditEntry.objects.filter(act="deck.expect").first()
    assert (entry.object_id, entry.after["expected"]) == ("cn-retail", "0.266")
    deck = Deck.objects.get(code="cn-retail")
    assert failed_expectations(deck, DeckVersion.objects.get(deck=deck, number=1)) == []

    publish("cn-retail", "021,上海,0.07,60,6,,,0.05", columns=COLUMNS, mode="merge")

    (failed,) = failed_expectations(deck, DeckVersion.objects.get(deck=deck, number=2))
    assert (failed.name, failed.expected) == ("Saturday", "0.266")
    assert failed.got != failed.expected
    client.post(f"{PAGE}drop/{case.pk}/", ASKED)
    assert list(ExpectedPrice.objects.values_list("name", flat=True)) == ["voice"]
    assert AuditEntry.objects.filter(act="deck.unexpect").count() == 1


def test_only_rate_admins_keep_test_cases_and_only_with_their_token(retail):
    asked = ASKED | {"kept_with": "cn-retail", "name": "x"}
    user = User.objects.create_user("rita", is_staff=True)
    Membership.objects.create(user=user, organization="demo", role=Role.RATE_ADMIN)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    answers = [
        person(Role.OPS).post(PAGE + "keep/", asked).status_code,
        strict.post(PAGE + "keep/", asked).status_code,
        person(Role.RATE_ADMIN).get(PAGE + "keep/", asked).status_code,
    ]

    assert answers == [403, 403, 405]
    assert not ExpectedPrice.objects.exists()


def test_500_charges_and_the_page_agree(retail):
    """A hundred numbers at a time: winner and amount are those that each charge stored."""
    items._cache.read_at = float("-inf")
    account = acme("10000")
    make_item("callback", "by_deck", opened_for=(account,))
    price_by("cn-retail", label="callback", organization="acme")
    make_deck("default", ",0.60,60,60")
    client = person(Role.RATE_ADMIN, organization="acme")
    began = datetime(2026, 10, 9, 9, 59, 30, tzinfo=UTC)
    for round_ in range(5):
        start = began + timedelta(hours=7 * round_)
        finish = start + timedelta(seconds=70 + round_)
        uses = [
            ServiceUse(
                account.accno, "callback", f"{round_}-{n}", start, finish, organization="acme",
                call=CallFacts(caller="13900000001", called=f"021-6{round_}00{n:04d}"),
            )
            for n in range(100)
        ]  # fmt: skip
        metering.end_services([Submission(one) for one in uses], at=finish)
        stored = {line["explanation"]["lines"][0]["number"]["key"]: line for line in stored_charges(100)}

        html = client.get(PAGE, {
            "number": "\n".join(use.call.called for use in uses), "category": "callback", "subject": account.accno,
            "at": start.isoformat(), "duration": str(70 + round_), "format": "csv",
        }).content.decode("utf-8-sig")  # fmt: skip

        rows = list(csv.DictReader(io.StringIO(html.split("\r\n", 1)[1])))
        told = {row["key"]: (row["deck"], row["version"], row["prefix"], row["band"], row["amount"]) for row in rows}
        assert len(told) == 100
        for key, line in stored.items():
            winner = line["explanation"]["lines"][0]["winner"]
            amount = line["explanation"]["lines"][0]["amount"]
            expected = winner["deck"], str(winner["version"]), winner["prefix"], winner["band"] or "", amount
            assert told[key] == expected
            assert Decimal(line["cost"]) == Decimal(amount)
