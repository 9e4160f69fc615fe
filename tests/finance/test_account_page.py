"""The account's page and the list behind it: what they show, what may be done there, and what becomes of calls then."""

import csv
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform import answers, clock
from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, Membership, Role
from counter import subscriptions
from counter.models import ServiceItem, ServicePrice
from finance import listing, wallet
from finance.prices import prices_of
from finance.wallet import Lasting, lasting
from ledger.accounts import Account, close_account, read_account, set_limits
from ledger.funding import Funding, adjust, top_up
from ledger.limits import find_waiting
from ledger.posting import NewTransfer, post_transfers
from rating.assignments import assign_deck
from tests.ledger_facts import NOON, funded_account, ledger_fingerprint
from tests.rating.deck_files import make_deck, publish

pytestmark = pytest.mark.django_db
ALWAYS = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


@pytest.fixture(autouse=True)
def _english(settings: object) -> None:
    settings.LANGUAGE_CODE = "en"  # type: ignore[attr-defined]


def person(name: str, role: Role = Role.FINANCE, organization: str = "acme") -> Client:
    user = User.objects.create_user(name)
    Membership.objects.create(user=user, organization=organization, role=role)
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def page_of(account: Account) -> str:
    return f"/finance/accounts/{account.accno}/"


def text_of(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined]


def test_suspending_is_shown_in_words_confirmed_and_left_in_the_trail() -> None:
    account, finance = funded_account("10"), person("fiona")
    before = ledger_fingerprint()

    without = finance.post(f"{page_of(account)}suspend/", {"reason": " "})
    shown = finance.post(f"{page_of(account)}suspend/", {"reason": "fraud"})
    wrong = finance.post(f"{page_of(account)}suspend/", {"reason": "fraud", "confirm": "C99999999"})
    assert ledger_fingerprint() == before
    done = finance.post(f"{page_of(account)}suspend/", {"reason": "fraud", "confirm": account.accno}, follow=True)

    assert (without.status_code, "standing-reason-error" in text_of(without)) == (422, True)
    assert "New calls will be refused. Calls that run go on and are charged." in text_of(shown)
    assert "confirm-error" in text_of(wrong)
    assert 'data-testid="standing"' in text_of(done)
    assert "New calls are refused." in text_of(done)
    assert read_account(account.id).state == "suspended"
    act = AuditEntry.objects.get(act="account.suspend")
    assert (act.actor, act.before, act.after, act.reason) == (
        "person:fiona", {"state": "active"}, {"state": "suspended"}, "fraud",
    )  # fmt: skip


def test_resuming_an_account_in_debt_says_that_calls_stay_refused() -> None:
    account, finance = funded_account(), person("fiona")
    adjust(Funding(account.accno, Decimal("-3.2"), "debt", NOON))
    asked = {"reason": "cleared up"}
    finance.post(f"{page_of(account)}suspend/", asked | {"confirm": account.accno})

    shown = finance.post(f"{page_of(account)}resume/", asked)
    done = finance.post(f"{page_of(account)}resume/", asked | {"confirm": account.accno}, follow=True)

    assert "new calls stay refused until enough money has come in" in text_of(shown)
    assert read_account(account.id).state == "overdrawn"
    assert 'data-testid="lacking"' in text_of(done)
    assert 'data-amount="3.20"' in text_of(done)


def test_a_closed_account_is_refused_on_its_page_and_nothing_moves() -> None:
    account, finance = funded_account(), person("fiona")
    close_account(account.accno)
    before = ledger_fingerprint()
    confirmed = {"confirm": account.accno, "reason": "x", "reference": "x", "amount": "5"}

    for act in ("suspend", "resume", "top-ups", "adjustments"):
        refused = finance.post(f"{page_of(account)}{act}/", confirmed)
        assert (refused.status_code, "account_closed" in text_of(refused)) == (403, True)
    limits = finance.post(f"{page_of(account)}limits/", {"credit_limit": "5", "warning_threshold": "0", "reason": "x"})

    assert limits.status_code == 403
    assert ledger_fingerprint() == before


@pytest.mark.parametrize("amount", ["", "0", "-5", "12,5x", "1e3", "0.1234567", "NaN", "1000000000000", "１"])
def test_what_is_no_amount_moves_nothing(amount: str) -> None:
    account, finance = funded_account("10"), person("fiona")
    before = ledger_fingerprint()
    asked = {"amount": amount, "reference": "BANK-9", "reason": "x", "confirm": account.accno}

    refused = finance.post(f"{page_of(account)}top-ups/", asked)

    assert (refused.status_code, "top_up-amount-error" in text_of(refused)) == (422, True)
    assert ledger_fingerprint() == before


def test_much_credit_waits_for_a_second_person_who_is_not_the_first() -> None:
    account, fiona, paul = funded_account("10"), person("fiona"), person("paul")
    wanted = {"credit_limit": "5000", "warning_threshold": "50", "reason": "large customer", "confirm": account.accno}
    before = ledger_fingerprint()

    shown = fiona.post(f"{page_of(account)}limits/", wanted | {"confirm": ""})
    asked = fiona.post(f"{page_of(account)}limits/", wanted, follow=True)
    other = fiona.post(f"{page_of(account)}limits/", wanted | {"credit_limit": "6000"})
    waiting = find_waiting(account.accno)
    assert waiting is not None
    decide = f"{page_of(account)}limits/{waiting.id}/"
    own = fiona.post(f"{decide}approve/", {"confirm": account.accno})
    elsewhere = paul.post(f"{page_of(funded_account())}limits/{waiting.id}/approve/", {"confirm": "x"})
    assert read_account(account.id).credit_limit == 0
    done = paul.post(f"{decide}approve/", {"confirm": account.accno}, follow=True)
    again = paul.post(f"{decide}approve/", {"confirm": account.accno})

    assert "rehearsal-second" in text_of(shown)
    assert "limits-need-another" in text_of(asked)
    assert (other.status_code, own.status_code, elsewhere.status_code, again.status_code) == (409, 403, 409, 409)
    assert 'data-testid="waiting-limits"' not in text_of(done)
    after = read_account(account.id)
    assert (after.credit_limit, after.warning_threshold) == (5000, 50)
    assert ledger_fingerprint() != before


def test_waiting_limits_are_taken_back_with_a_reason() -> None:
    account, fiona = funded_account("10"), person("fiona")
    wanted = {"credit_limit": "5000", "warning_threshold": "0", "reason": "large customer", "confirm": account.accno}
    fiona.post(f"{page_of(account)}limits/", wanted)
    waiting = find_waiting(account.accno)
    assert waiting is not None

    reject, typed = f"{page_of(account)}limits/{waiting.id}/reject/", {"confirm": account.accno}
    refused = {fiona.post(reject, typed | {"reason": one}).status_code for one in ("", " ", "typ\0o", "x" * 301)}
    done = fiona.post(reject, typed | {"reason": "typo"})

    assert (refused, done.status_code) == ({422}, 302)
    assert find_waiting(account.accno) is None
    assert read_account(account.id).credit_limit == 0


def use(account: Account, amount: str, *, at: datetime, cause: str = "use") -> None:
    post_transfers([NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", cause, at)])


@pytest.mark.parametrize(
    ("money", "credit", "used", "lasts"),
    [
        pytest.param("100", "0", "", None, id="no use"),
        pytest.param("107", "0", "7", 100, id="a seventh of the week's use a day"),
        pytest.param("107", "50", "7", 150, id="credit may be spent too"),
        pytest.param("7", "0", "7", 0, id="nothing left"),
        pytest.param("7", "0", "10", 0, id="in debt"),
        pytest.param("7.5", "0", "7", 0, id="less than a day"),
        pytest.param("999999", "0", "0.000001", 999, id="longer than anybody plans"),
    ],
)
def test_how_long_the_money_lasts(money: str, credit: str, used: str, lasts: int | None) -> None:
    at = clock.now()
    account = funded_account(credit_limit=credit)
    top_up(Funding(account.accno, Decimal(money), "opening", at - timedelta(days=30)))
    if used:
        use(account, used, at=at - timedelta(days=1))

    assert lasting(read_account(account.id), at=at) == Lasting(lasts)


def test_a_young_account_is_judged_by_its_own_days() -> None:
    at = clock.now()
    fresh, young = funded_account(), funded_account()
    for account, age in ((fresh, timedelta(hours=1)), (young, timedelta(days=2))):
        top_up(Funding(account.accno, Decimal(110), "opening", at - age))
        use(account, "10", at=at - age, cause=account.accno)

    assert lasting(read_account(fresh.id), at=at) == Lasting(10)
    assert lasting(read_account(young.id), at=at) == Lasting(20)


def test_too_much_use_to_add_up_is_said_and_the_page_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    account = funded_account("10")
    monkeypatch.setattr(wallet.history, "SPENDING_SECONDS", 0.001)
    monkeypatch.setattr(wallet.history, "_SPENT", "SELECT pg_sleep(1)")

    assert "too much use to add up here" in text_of(person("fiona").get(page_of(account)))


def test_prices_name_the_chain_with_what_is_in_force_and_what_comes_next() -> None:
    for code, rate in (("own", "0.10"), ("house", "0.20"), ("gold", "0.15"), ("default", "0.60")):
        make_deck(code, f"010,{rate},60,60", family=code)
    account = funded_account("10")
    for label, mode in (("voice", "by_deck"), ("report", "per_use"), ("closed", "per_use")):
        item = ServiceItem.objects.create(label=label, name=label.title(), mode=mode, legs="b")
        ServicePrice.objects.create(item=item, effective_from=ALWAYS, price=Decimal("0.10"))
    subscriptions.open_service(account.accno, "voice", at=ALWAYS)
    subscriptions.open_service(account.accno, "report", at=ALWAYS, price=Decimal("0.08"))
    for family, subject, fallback in (
        ("own", account.accno, ["gold", "*any"]), ("gold", "gold", []), ("house", "*any", []),
    ):  # fmt: skip
        assign_deck(family, tenant="acme", category="voice", subject=subject, active_from=ALWAYS, fallback=fallback)
    soon = (clock.now() + timedelta(days=3)).replace(microsecond=0)
    publish("house", "010,0.25,60,60", effective_from=soon)

    report, voice = prices_of(account, at=clock.now())

    assert (report.name, report.price, report.links) == ("Report", "¥0.08 per use, own price", [])
    assert [(link.whose, link.deck, link.version, link.next_version, link.next_at) for link in voice.links] == [
        ("this account", "own", 1, None, None), ("profile gold", "gold", 1, None, None),
        ("organisation", "house", 1, 2, soon), ("default deck", "default", 1, None, None),
    ]  # fmt: skip
    shown = text_of(person("fiona").get(page_of(account)))
    assert 'data-testid="pricing-next" data-version="2"' in shown
    assert 'name="category" value="voice.b"' in shown


def test_the_workbook_holds_the_whole_ledger_with_numbers_as_numbers() -> None:
    account, finance = funded_account("10"), person("fiona")
    adjust(Funding(account.accno, Decimal("-2.5"), "0042", NOON, memo="=HYPERLINK(1)"))

    answer = finance.get(page_of(account), {"format": "xlsx"})
    sheet = openpyxl.load_workbook(BytesIO(b"".join(answer.streaming_content))).active  # type: ignore[attr-defined]

    rows = [row[2:6] for row in sheet.iter_rows(min_row=3, values_only=True)]
    assert rows == [("0042", "=HYPERLINK(1)", -2.5, 7.5), ("opening", None, 10, 10)]
    assert sheet.cell(3, 4).data_type == "s"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{account.accno}.xlsx"'
    assert finance.get(page_of(account), {"format": "pdf"}).status_code == 400


def test_a_workbook_that_would_be_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    account = funded_account("10")
    adjust(Funding(account.accno, Decimal(-1), "second", NOON))
    finance = person("fiona")
    monkeypatch.setattr(answers, "WORKBOOK_ROWS", 3)  # two of them are the head

    refused = finance.get(page_of(account), {"format": "xlsx"})

    assert (refused.status_code, "take the CSV" in text_of(refused)) == (413, True)
    assert finance.get("/finance/", {"format": "xlsx"}).status_code == 200
    assert finance.get(page_of(account), {"format": "csv"}).status_code == 200


def test_the_list_is_filtered_and_its_file_and_totals_are_those_of_the_filter() -> None:
    rich, low = funded_account("10"), funded_account("2")
    set_limits(low.accno, credit_limit=Decimal(0), warning_threshold=Decimal(5))
    funded_account("100", organization="echo")
    finance = person("fiona")

    everything = text_of(finance.get("/finance/"))
    narrowed = text_of(finance.get("/finance/", {"low": "1"}))
    totals = text_of(finance.get("/finance/", {"part": "totals"}))
    answer = finance.get("/finance/", {"low": "1", "format": "csv"})
    rows = list(csv.reader(StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]

    assert everything.count('data-testid="account-row"') == 2
    assert (low.accno in narrowed, rich.accno in narrowed) == (True, False)
    (card,) = listing.cards(Caller("person", organization="acme", roles=frozenset({"finance"})))
    assert (card.value, card.href, card.alarm) == ("1", "/finance/?low=1", True)
    assert listing.cards(Caller("person", organization="acme", roles=frozenset({"rate_admin"}))) == []
    assert 'data-accounts="2"' in totals
    assert 'data-amount="12.00"' in totals
    assert [row[0] for row in rows[2:]] == [low.accno]
    assert rows[2][5] == "2.000000"
    assert "accounts-none" in text_of(finance.get("/finance/", {"q": "nobody"}))
    assert "accounts-empty" in text_of(person("nora", organization="new").get("/finance/"))
    for hostile in ({"state": "x"}, {"q": "x" * 101}, {"q": "a\0b"}, {"cursor": "x"}, {"limit": "0"}):
        assert finance.get("/finance/", hostile).status_code == 400
