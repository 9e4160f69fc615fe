"""Stored charges are priced again from what was stored with them, whatever was published since."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection

from billing_platform import clock
from counter import items, metering
from counter.metered import Submission
from counter.stored import stored_charges
from counter.uses import CallFacts, ServiceUse, UseReceipt
from rating import tariffs
from rating.assignments import assign_deck
from rating.copies import revert_deck
from rating.decks import Publication
from rating.errors import QuestionUnreadable
from rating.explaining.again import mismatch_of, read_charge
from rating.models import Carrier, NumberSegment
from tests.cast import LONG_AGO, acme, make_deck, make_item, price_by, publish_deck
from tests.rating.deck_files import ADMIN

COLUMNS = "prefix,rate,first_increment,next_increment,band,connect_fee,priority"
PEAK = "#!band peak days=workday from=09:00 to=18:00 priority=20"
CALLED = ("021-60001234", "13812345678", "0571-88881234", "+44 20 7946 0123", "10086", "")
BEGAN = datetime(2026, 6, 1, 9, 57, 3, tzinfo=UTC)  # three minutes before the peak ends in Shanghai


def ask(monkeypatch, lines, *options):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    out, code = io.StringIO(), 0
    try:
        call_command("rate_explain", *options, stdout=out)
    except SystemExit as stopped:
        code = stopped.code
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def exported(monkeypatch, at_most=500):
    return ask(monkeypatch, [], "--stored", str(at_most))[1]


def use(number, account, label="callback", **changes):
    begins = BEGAN + timedelta(hours=7 * number, seconds=number)
    finish = begins + timedelta(seconds=1 + (number * 37) % 400)
    called = CALLED[number % len(CALLED)]
    call = CallFacts(
        caller="13900000001", called=called, agent_answer_at=begins - timedelta(seconds=number % 20), carrier="CTCC"
    )
    return ServiceUse(account.accno, label, f"use-{number}", begins, finish, organization="acme", call=call, **changes)


@pytest.fixture(scope="module")
def charged(module_database: object):
    """500 charges of two legs: bands, tiers of the chain, the default deck, package units, calls without end."""
    items._cache.read_at = float("-inf")
    account = acme("100000")
    make_item("callback", "by_deck", opened_for=(account,), legs="both")
    make_deck("own", PEAK, "021,0.12,60,6,peak,0.05,", "13,0.10,30,1,peak,,", columns=COLUMNS)
    make_deck("house", "021,0.06,60,6,,0.05,", "13,0.08,30,1,,,", "0044,1.234,60,60,,,", columns=COLUMNS)
    make_deck("default", ",0.60,60,60")
    assign_deck("own", tenant="acme", category="callback", subject=account.accno, active_from=None, fallback=["*any"])
    price_by("house", label="callback", organization="acme")
    publish_deck("house", "021,0.07,60,6,,0.05,", columns=COLUMNS, effective_from=clock.now() + timedelta(hours=1))
    tariffs.refresh()
    uses = [use(number, account) for number in range(480)]
    uses += [use(number, account, estimated=True, rate_policy="highest") for number in range(480, 500)]
    for start in range(0, 500, 100):
        batch = [Submission(one) for one in uses[start : start + 100]]
        outcomes = metering.end_services(batch, at=clock.now())
        assert [outcome for outcome in outcomes if not isinstance(outcome, UseReceipt)] == []
    return account


def test_500_charges_come_out_again_whatever_was_changed_since(charged, monkeypatch):
    lines = [json.dumps(line, ensure_ascii=False) for line in exported(monkeypatch)]
    modes = [json.loads(line)["explanation"] for line in lines]
    assert len(lines) == 500
    assert sum("error" in why for why in modes) > 50
    assert any(len(line["versions"]["decks"]) > 1 for why in modes for line in why["lines"])
    assert any(line["day_classes"] for why in modes for line in why["lines"])

    publish_deck("own", PEAK, "021,0.99,60,6,,,", columns=COLUMNS)
    revert_deck("house", to=1, publication=Publication(), caller=ADMIN)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rating_calendarday (country, date, day_class, name_zh, name_en, source, provisional)"
            " SELECT 'CN', day, 'holiday', '', '', 'test', false"
            " FROM generate_series('2026-05-01'::date, '2026-11-30'::date, '1 day') day"
        )
    carrier, _new = Carrier.objects.get_or_create(code="CUCC", defaults={"name_zh": "中国联通"})
    NumberSegment.objects.create(prefix="8613812345678", carrier=carrier, source="ported")
    tariffs.refresh()

    code, told = ask(monkeypatch, lines, "--input", "-", "--verify")

    assert (code, told) == (0, [])


@pytest.mark.parametrize("corrupt", ["cost", "amount", "line"])
def test_a_corrupted_amount_is_named(charged, monkeypatch, corrupt):
    lines = exported(monkeypatch, 5)
    wrong = lines[2]
    before = wrong["cost"]
    if corrupt == "cost":
        wrong["cost"] = str(Decimal(before) + Decimal("0.0001"))
    elif corrupt == "amount":
        wrong["explanation"]["amount"] = "0.0001"
    else:
        wrong["explanation"]["lines"][0]["amount"] = "9.0000"

    code, told = ask(monkeypatch, [json.dumps(line) for line in lines], "--input", "-", "--verify")

    assert code == 6
    assert told == [{"ref": wrong["ref"], "stored": wrong["cost"], "again": before}]


def test_what_is_no_stored_charge_is_refused_by_field(charged, monkeypatch):
    good = exported(monkeypatch, 1)[0]
    bad = [good | {"cost": "1e3", "start_time": "yesterday"}, good | {"explanation": {"mode": "per_use"}}, []]

    code, told = ask(monkeypatch, ["{", *map(json.dumps, bad)], "--input", "-", "--verify", "--format", "json")

    assert code == 3
    assert (told[0]["counts"], [error["ref"] for error in told[0]["errors"]]) == (
        {}, ["line 1", "line 2", "line 3", "line 4"],
    )  # fmt: skip
    with pytest.raises(QuestionUnreadable) as refused:
        read_charge(bad[0])
    assert set(refused.value.fields["errors"]) == {"cost", "start_time"}


def test_a_version_that_is_gone_is_a_mismatch(charged):
    charge = next(iter(stored_charges(1)))
    for line in charge["explanation"]["lines"]:
        line["versions"]["decks"] = {"own": 99}

    mismatch = mismatch_of(read_charge(charge))

    assert mismatch is not None
    assert mismatch.again == "deck_unknown"
    assert LONG_AGO < BEGAN
