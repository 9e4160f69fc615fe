"""What if a draft had been in force: the month's calls priced again, nothing written, nothing to apply."""

import csv
import multiprocessing
from decimal import Decimal

import pytest

from billing_platform.auth import Caller
from counter import charged, sidebyside
from counter.charged import month_of
from counter.whatif import Question, what_if
from rating.copies import revert_deck
from rating.decks import Publication, publish_draft
from rating.models import Carrier, Deck, DeckVersion
from tests import cast
from tests.counter.prices import draft, supplier_deck
from tests.counter.test_rerating import footprint, rerate
from tests.counter.told import NOON, call, end, stop_clock, use

SOMEBODY = Caller("command", "test")


@pytest.fixture
def acme(books):
    return make_acme()


def make_acme():
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("flat", "021,上海,0.12", "13,移动,0.30", "00852,香港,0.60", columns="prefix,destination,rate")
    cast.make_deck("own", "021,本公司上海,0.10", columns="prefix,destination,rate")
    cast.make_deck("default", ",0.60,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    stop_clock(NOON)
    return account


def three_calls(account):
    end(
        use(account, "voice", "c1", 61, call=call()), use(account, "voice", "c2", 60, call=call("13800000001")),
        use(account, "voice", "c3", 60, call=call("0085221234567")),
    )  # fmt: skip


def ask(version, *arguments):
    return rerate("--what-if", version, *arguments)


def line(told, by, name=""):
    (item,) = [one for one in told["items"] if (one["by"], one["name"]) == (by, name)]
    return item


def test_the_report_says_now_and_then(acme):
    three_calls(acme)
    number = draft("flat", k8621="0.20", k8613="0.15")
    before = footprint()

    code, told = ask(f"flat:{number}")

    assert (code, told["counts"], Decimal(told["amounts"]["CNY"])) == (
        0, {"calls": 3, "lost": 0, "unpriced": 0}, Decimal("0.01"))  # fmt: skip
    total = line(told, "total")
    names = ("revenue_now", "revenue_then", "change", "change_percent", "minutes")
    assert [Decimal(total[name]) for name in names] == [
        Decimal("1.14"), Decimal("1.15"), Decimal("0.01"), Decimal("0.88"), Decimal("3.02")]  # fmt: skip
    shanghai = line(told, "destination", "上海")
    assert (shanghai["calls"], Decimal(shanghai["change"]), shanghai["change_percent"]) == (1, Decimal("0.16"), "66.67")
    assert [one["name"] for one in told["items"] if one["by"] == "destination"] == ["上海", "移动", "香港"]
    assert Decimal(line(told, "account", acme.accno)["change"]) == Decimal("0.01")
    assert sum(one["calls"] for one in told["items"] if one["by"] == "carrier") == 3
    assert footprint() == before


def test_calls_that_lose_their_rate_are_counted_and_go_to_the_default_deck(acme, settings):
    three_calls(acme)
    number = draft("flat", k8613=None)

    assert ask(f"flat:{number}")[1]["counts"] == {"calls": 3, "lost": 1, "unpriced": 0}
    assert Decimal(ask(f"flat:{number}")[1]["amounts"]["CNY"]) == Decimal("0.30")

    settings.RATING_DEFAULT_DECK = "none"
    told = ask(f"flat:{number}")[1]
    assert (told["counts"]["unpriced"], Decimal(told["amounts"]["CNY"])) == (1, Decimal("-0.30"))


def test_the_version_stands_in_wherever_its_deck_stands_in_the_chain(acme):
    cast.assign_deck("own", tenant="acme", category="voice", subject=acme.accno, active_from=None, fallback=["*any"])
    cast.tariffs.refresh()
    three_calls(acme)

    fallback, own = draft("flat", k8621="9", k8613="0.40"), draft("own", k8621="0.11")

    assert Decimal(ask(f"flat:{fallback}")[1]["amounts"]["CNY"]) == Decimal("0.10")
    assert Decimal(ask(f"own:{own}")[1]["amounts"]["CNY"]) == Decimal("0.02")


def test_a_deck_of_the_family_stands_in_for_its_carrier_only(acme):
    three_calls(acme)
    Deck.objects.create(code="flat-other", family="flat", carrier=Carrier.objects.get_or_create(code="CTCC")[0])
    cast.publish_deck("flat-other", "021,9,60,60")

    assert Decimal(ask("flat-other:1")[1]["amounts"]["CNY"]) == 0


def test_costs_and_margins_are_told_and_unknown_ones_counted_apart(acme):
    supplier_deck("trunk", "86,0.05,60,60")
    three_calls(acme)
    number = draft("flat", k8621="0.20")

    total = line(ask(f"flat:{number}")[1], "total")

    assert [Decimal(total[name]) for name in ("cost_now", "cost_then", "margin_now", "margin_then")] == [
        Decimal("0.15"), Decimal("0.15"), Decimal("0.39"), Decimal("0.55")]  # fmt: skip
    assert (total["cost_unknown_now"], total["cost_unknown_then"]) == (1, 1)


def test_a_suppliers_draft_moves_costs_and_no_revenue(acme):
    supplier_deck("trunk", "86,0.05,60,60")
    three_calls(acme)
    number = draft("trunk", k86="0.10")

    total = line(ask(f"trunk:{number}")[1], "total")

    assert [Decimal(total[name]) for name in ("change", "cost_now", "cost_then", "margin_now", "margin_then")] == [
        0, Decimal("0.15"), Decimal("0.30"), Decimal("0.39"), Decimal("0.24")]  # fmt: skip


def test_only_uses_by_deck_that_were_answered_are_asked_about(acme):
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    end(use(acme, "sms", "m1"), use(acme, "voice", "c1", 9, call=call(answered=False)))

    assert ask("flat:1")[1]["counts"] == {}


def test_the_scope_narrows_here_too(acme):
    three_calls(acme)
    number = draft("flat", k8621="0.20")

    assert ask(f"flat:{number}", "--prefix", "8613")[1]["counts"]["calls"] == 1
    assert Decimal(ask(f"flat:{number}", "--prefix", "8621")[1]["amounts"]["CNY"]) == Decimal("0.16")


def test_the_whole_report_goes_into_a_file(acme, tmp_path):
    three_calls(acme)
    number = draft("flat", k8621="0.06")
    path = tmp_path / "report.csv"

    assert ask(f"flat:{number}", "--csv", str(path))[0] == 0

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["by"] for row in rows][:5] == ["total", "account", "destination", "destination", "destination"]
    assert (rows[2]["name"], Decimal(rows[2]["change"]), rows[2]["change_percent"]) == (
        "上海", Decimal("-0.12"), "-50.00")  # fmt: skip
    assert ask(f"flat:{number}", "--csv", str(tmp_path / "none" / "report.csv"))[0] == 2


def test_publishing_what_was_asked_about_charges_the_same(acme):
    three_calls(acme)
    number = draft("flat", k8621="0.20", k8613="0.15")
    asked = Decimal(ask(f"flat:{number}")[1]["amounts"]["CNY"])
    version = DeckVersion.objects.get(deck__code="flat", number=number)
    publish_draft(version, publication=Publication(NOON.replace(day=1), "late", correction=True), caller=SOMEBODY)
    cast.tariffs.refresh()

    assert Decimal(rerate()[1]["amounts"]["CNY"]) == asked
    revert_deck("flat", to=1, publication=Publication(None), caller=SOMEBODY)
    cast.tariffs.refresh()
    assert Decimal(rerate()[1]["amounts"]["CNY"]) == asked


def test_two_processes_say_the_same_as_one(committed_books, monkeypatch):
    three_calls(make_acme())
    number = draft("flat", k8621="0.20", k8613=None)
    monkeypatch.setattr(charged, "RANGE", 1)
    monkeypatch.setattr(sidebyside, "WORTH_IT", 2)
    question = Question(month_of("2026-03"), "flat", number)
    told = []

    alone = what_if(question, processes=1, progress=lambda done, total: None)
    together = what_if(question, processes=2, progress=lambda done, total: told.append((done, total)))

    assert list(together.rows()) == list(alone.rows())
    assert (together.totals["CNY"].calls, told[-1][0]) == (3, told[-1][1])
    assert multiprocessing.active_children() == []
