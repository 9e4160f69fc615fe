"""Uses that have happened: always charged, exactly once, or visibly refused."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from billing_platform import clock
from billing_platform.models import OutboxEvent
from counter import starting, subscriptions
from counter.models import DefaultRateNotice, ServicePrice, ServiceRecord
from counter.uses import NamedUse
from ledger import accounts
from tests import cast
from tests.counter.told import (
    NOON,
    call,
    end,
    end_one,
    expire_at,
    money,
    refusal_of,
    start,
    states,
    stop_clock,
    transfers_of_uses,
    use,
)

pytestmark = pytest.mark.usefixtures("books")


def voice(**columns):
    """Acme's calls at 0.12 a minute."""
    acme = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(acme,), **columns)
    cast.make_deck("flat", ",0.12,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    return acme


def why(receipt):
    return msgspec.json.decode(ServiceRecord.objects.values_list("explanation", flat=True).get(pk=receipt.record_id))


def test_a_call_of_95_seconds_is_two_minutes():
    acme = voice()

    receipt = end_one(use(acme, "voice", "c1", 95, call=call()))

    assert (receipt.cost, receipt.count, receipt.charged_seconds) == (Decimal("0.24"), 2, 120)
    assert (receipt.deck_version, receipt.warnings, receipt.balance) == ("flat:1", ("no_hold",), Decimal("99.76"))
    assert (money(acme), transfers_of_uses()) == (("99.76", "0"), [Decimal("0.24")])


def test_the_hold_is_captured_and_the_rest_returns():
    acme = voice()
    svcno = start(acme, "voice", "c1", call=call(), max_seconds=600).svcno
    assert money(acme) == ("100", "1.2")

    receipt = end_one(use(acme, "voice", "c1", 95, call=call()))

    assert (receipt.svcno, receipt.warnings) == (svcno, ())
    assert (money(acme), states()) == (("99.76", "0"), [("c1", "ended")])


def test_the_same_again_is_the_first_answer_and_other_content_a_conflict():
    acme = voice()
    first = use(acme, "voice", "c1", 95, call=call())
    receipt = end_one(first)

    again = end_one(first)

    assert (again.svcno, again.cost, again.start, again.duplicate) == (
        receipt.svcno, receipt.cost, receipt.start, True,
    )  # fmt: skip
    refused = refusal_of(end_one, use(acme, "voice", "c1", 96, finish=first.finish, call=call("13800000001")))
    assert (refused.code, refused.fields["fields"]) == ("idempotency_conflict", ["start_time", "called"])
    assert transfers_of_uses() == [Decimal("0.24")]


def test_spelling_summary_and_record_ref_are_not_content():
    acme = voice()
    first = use(acme, "voice", "c1", 95, call=call("021-6000 1234", record_ref="r1"), summary="one", application="x")
    end_one(first)

    again = use(
        acme,
        "voice",
        "c1",
        finish=first.finish.astimezone(),
        start=first.start,
        call=call(record_ref="r2"),
    )

    assert end_one(again).duplicate


def test_a_retry_without_times_repeats_the_first_answer():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    given = use(acme, "sms", "m1", start=None, finish=None)

    first, again = end_one(given), end_one(given)

    assert (again.duplicate, again.finish) == (True, first.finish)
    assert transfers_of_uses() == [Decimal("0.05")]


def test_another_organisation_gets_no_answer_of_a_key_that_is_not_its_own():
    acme, echo = voice(), cast.echo()
    end_one(use(acme, "voice", "c1", 95, call=call()))

    assert end(use(echo, "voice", "c1", 95, call=call())) == ["idempotency_conflict"]
    assert end(use(acme, "voice", "c2", call=call()), organizations=frozenset({"echo"})) == ["account_not_found"]
    assert (money(echo), transfers_of_uses()) == (("100", "0"), [Decimal("0.24")])


# --- the end of a started use -----------------------------------------------------------------------------------------


def test_an_end_that_names_svcno_may_bring_its_own_key_and_ends_the_use_once():
    acme = voice()
    svcno = start(acme, "voice", "call-1", call=call(), max_seconds=600).svcno
    first = use(acme, "voice", "uuid-1", 95, call=call(), svcno=svcno)

    receipt = end_one(first)

    assert (receipt.svcno, receipt.warnings, states()) == (svcno, (), [("uuid-1", "ended")])
    same = {"call": call(), "start": first.start, "finish": first.finish}
    assert end_one(use(acme, "voice", "uuid-1", svcno=svcno, **same)).duplicate
    assert end_one(use(acme, "voice", "uuid-1", **same)).duplicate
    assert end_one(use(acme, "voice", "uuid-2", svcno=svcno, **same)).duplicate
    assert end_one(use(acme, "voice", "call-1", **same)).duplicate
    assert end_one(use(acme, "voice", "", svcno=svcno, **same)).duplicate
    other = use(acme, "voice", "uuid-3", 200, call=call(), svcno=svcno)
    assert refusal_of(end_one, other).code == "idempotency_conflict"
    assert (money(acme), transfers_of_uses()) == (("99.76", "0"), [Decimal("0.24")])


def test_svcno_alone_must_name_something():
    acme = voice()

    assert refusal_of(end_one, use(acme, "voice", "", svcno="S2026030200000017")).code == "record_not_found"
    assert refusal_of(end_one, use(acme, "voice", "", svcno="17")).code == "validation"
    unknown = end_one(use(acme, "voice", "c1", call=call(), svcno="S2026030200000017"))
    assert (unknown.cost, unknown.warnings) == (Decimal("0.12"), ("no_hold",))


def test_the_account_of_the_end_is_that_of_the_start():
    acme, echo = voice(), cast.echo()
    start(acme, "voice", "c1", call=call(), max_seconds=60)

    refused = refusal_of(end_one, use(echo, "voice", "c1", call=call()))

    assert (refused.code, refused.fields["fields"]) == ("idempotency_conflict", ["accno"])
    assert (money(acme), money(echo)) == (("100", "0.12"), ("100", "0"))


def test_times_that_are_missing_come_from_the_start_or_the_clock():
    acme = cast.acme()
    cast.make_item("meeting", "per_duration", price="0.10", opened_for=(acme,))
    began = clock.now() - timedelta(seconds=130)
    start(acme, "meeting", "m1", start=began)

    receipt = end_one(use(acme, "meeting", "m1", start=None, finish=began + timedelta(seconds=125)))

    assert (receipt.start, receipt.cost) == (began, Decimal("0.30"))
    refused = refusal_of(end_one, use(acme, "meeting", "m2", start=None))
    assert list(refused.fields["fields"]) == ["start_time"]


@pytest.mark.parametrize(
    ("start_s", "finish_s"),
    [(0, -1), (-86_401, 0), (0, 301), (-10_000_000_000, -9_999_999_940)],
    ids=["ends before it starts", "longer than a day", "ahead of the clock", "before 2000"],
)
def test_impossible_times_are_refused(start_s, finish_s):
    acme = voice()
    now = clock.now()
    stop_clock(now)
    given = use(acme, "voice", "c1", start=now + timedelta(seconds=start_s), finish=now + timedelta(seconds=finish_s))

    assert refusal_of(end_one, given).code == "validation"
    assert not ServiceRecord.objects.exists()


def test_a_day_exactly_and_five_minutes_ahead_are_possible():
    acme = voice()
    now = clock.now()
    stop_clock(now)

    assert end_one(use(acme, "voice", "c1", 86_400, call=call())).charged_seconds == 86_400
    assert end_one(use(acme, "voice", "c2", 60, finish=now + timedelta(minutes=5), call=call())).cost == Decimal("0.12")


def test_an_unanswered_call_costs_nothing_and_the_hold_returns():
    acme = voice()
    start(acme, "voice", "c1", call=call(), max_seconds=60)

    receipt = end_one(use(acme, "voice", "c1", 30, call=call(answered=False)))

    assert (receipt.cost, receipt.charged_seconds) == (0, 0)
    assert (money(acme), transfers_of_uses()) == (("100", "0"), [])


def test_a_use_is_charged_after_its_cancel_and_after_its_expiry_with_a_warning():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    expire = clock.now() + timedelta(minutes=1)
    start(acme, "sms", "m1", expire=expire)
    start(acme, "sms", "m2", expire=expire)
    from_cancel = _cancel(acme, "sms", "m1")
    assert from_cancel.released == Decimal("0.05")
    expire_at(expire)
    assert states() == [("m1", "cancelled"), ("m2", "expired")]

    assert end_one(use(acme, "sms", "m1")).warnings == ("after_cancel",)
    assert end_one(use(acme, "sms", "m2")).warnings == ("after_expiry",)
    assert (money(acme), transfers_of_uses()) == (("99.9", "0"), [Decimal("0.05")] * 2)


def _cancel(account, label, providerno):
    return starting.cancel_service(
        NamedUse(account.accno, label, providerno), reason="", organizations=None, at=clock.now()
    )


# --- nothing that happened is refused ---------------------------------------------------------------------------------


def test_an_empty_wallet_goes_into_debt_and_the_account_is_overdrawn():
    beta = cast.beta()
    cast.make_item("sms", price="0.05", opened_for=(beta,))

    receipt = end_one(use(beta, "sms", "m1"))

    assert (receipt.warnings, receipt.account_state) == (("no_hold", "overdrawn"), "overdrawn")
    assert money(beta) == ("-0.05", "0")


def test_a_suspended_account_is_charged_and_a_closed_one_refused():
    gamma, empty = cast.gamma(), cast.make_account("empty")
    accounts.close_account(empty.accno)
    cast.make_item("sms", price="0.05", opened_for=(gamma,))

    assert end_one(use(gamma, "sms", "m1")).warnings == ("account_suspended", "no_hold")
    assert refusal_of(end_one, use(empty, "sms", "m2")).code == "account_closed"
    assert (money(gamma), states()) == (("99.95", "0"), [("m1", "ended")])


def test_a_service_that_was_never_open_costs_the_list_price():
    acme = cast.acme()
    cast.make_item("sms", price="0.05")

    receipt = end_one(use(acme, "sms", "m1"))

    assert (receipt.cost, receipt.warnings) == (Decimal("0.05"), ("service_not_open", "no_hold"))


def test_the_price_in_force_at_the_start_applies_and_an_own_price_wins():
    acme = cast.acme()
    item = cast.make_item("sms", price="0.05")
    now = clock.now()
    ServicePrice.objects.create(item=item, effective_from=now - timedelta(hours=1), price=Decimal("0.09"))
    subscriptions.open_service(acme.accno, "sms", at=now - timedelta(minutes=10), price=Decimal("0.02"))

    costs = [
        end_one(use(acme, "sms", f"m{hours}", 1, finish=now - timedelta(hours=hours) + timedelta(seconds=1))).cost
        for hours in (2, 1, 0)
    ]

    assert costs == [Decimal("0.05"), Decimal("0.09"), Decimal("0.02")]


@pytest.mark.parametrize(
    ("seconds", "count", "cost"),
    [(0, 1, "0.05"), (1, 1, "0.15"), (60, 1, "0.15"), (60.000001, 1, "0.25"), (61, 3, "0.65")],
)
def test_a_duration_pays_started_increments(seconds, count, cost):
    acme = cast.acme()
    cast.make_item("meeting", "per_duration", price="0.10", connect_fee=Decimal("0.05"), opened_for=(acme,))

    given = use(acme, "meeting", "m1", seconds, count=count)

    assert end_one(given).cost == (Decimal(cost) if seconds else 0)


def test_a_duration_pays_at_least_its_minimum():
    acme = cast.acme()
    cast.make_item("meeting", "per_duration", price="0.10", min_seconds=120, opened_for=(acme,))

    receipt = end_one(use(acme, "meeting", "m1", 5))

    assert (receipt.cost, receipt.count) == (Decimal("0.20"), 2)


def test_unknown_labels_accounts_and_resources_are_refused():
    acme = cast.acme()
    cast.make_item("seats", "resource", opened_for=(acme,))

    assert end(use(acme, "nothing", "m1"), use(acme, "seats", "m2")) == ["service_unknown", "wrong_charge_mode"]


def test_a_label_that_was_just_made_is_known():
    acme = cast.acme()
    assert end(use(acme, "sms", "m1")) == ["service_unknown"]

    cast.make_item("sms", price="0.05", opened_for=(acme,))

    assert end_one(use(acme, "sms", "m1")).cost == Decimal("0.05")


# --- by deck ----------------------------------------------------------------------------------------------------------


def test_both_legs_are_two_lines_and_one_transfer():
    acme = cast.acme()
    cast.make_item("callback", "by_deck", legs="both", opened_for=(acme,))
    cast.make_deck("leg-a", ",0.06,60,60")
    cast.make_deck("leg-b", ",0.12,60,60")
    cast.price_by("leg-a", label="callback.a", organization="acme")
    cast.price_by("leg-b", label="callback.b", organization="acme")
    now = clock.now()
    facts = call(caller="13800000001", agent_answer_at=now - timedelta(seconds=100))

    receipt = end_one(use(acme, "callback", "c1", 59, finish=now, call=facts))

    lines = why(receipt)["lines"]
    assert [(line["leg"], line["amount"]) for line in lines] == [("a", "0.1200"), ("b", "0.1200")]
    assert (receipt.cost, receipt.charged_seconds) == (Decimal("0.24"), 60)
    assert (receipt.deck_version, transfers_of_uses()) == ("leg-a:1,leg-b:1", [Decimal("0.24")])


def test_a_call_without_number_takes_the_empty_prefix():
    acme = voice()

    receipt = end_one(use(acme, "voice", "c1", 60))

    assert (receipt.cost, receipt.warnings) == (Decimal("0.12"), ("no_hold", "no_number"))


def test_without_a_rate_the_whole_call_is_priced_by_default_and_told_once_a_day():
    acme = voice()
    cast.publish_deck("flat", ",0.12,60,60")
    cast.make_deck("default", ",0.60,60,60")
    cast.make_item("direct", "by_deck", opened_for=(acme,))

    costs = [end_one(use(acme, "direct", f"c{n}", 61, finish=NOON, call=call())) for n in range(3)]
    free = end_one(use(acme, "direct", "c9", 0, finish=NOON, call=call()))

    assert [receipt.cost for receipt in costs] == [Decimal("1.20")] * 3
    assert (costs[0].warnings, costs[0].deck_version) == (("no_hold", "default_rate"), "default:1")
    assert why(costs[0])["error"]["code"] == "no_tariff"
    assert free.cost == 0
    told = OutboxEvent.objects.filter(topic="rating.default_rate_used")
    assert told.count() == 1
    assert DefaultRateNotice.objects.values_list("accno", "head", "uses").get() == (acme.accno, "86216", 3)


def test_a_blocked_number_is_charged_by_default_once_it_was_called():
    acme = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(acme,))
    columns = "prefix,rate,first_increment,next_increment,blocked"
    cast.make_deck("b", "021,0.12,60,60,true", columns=columns)
    cast.make_deck("default", ",0.60,60,60")
    cast.price_by("b", label="voice", organization="acme")

    receipt = end_one(use(acme, "voice", "c1", 60, call=call()))

    assert (receipt.cost, why(receipt)["error"]["code"]) == (Decimal("0.60"), "blocked")


def test_no_rate_and_no_default_deck_is_refused_and_visible():
    acme = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(acme,))

    assert refusal_of(end_one, use(acme, "voice", "c1", 60, call=call())).code == "no_rate"
    assert (money(acme), states()) == (("100", "0"), [])


def test_the_dearest_rate_prices_a_call_whose_end_nobody_saw():
    acme = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(acme,))
    cast.make_deck("two", ",0.12,60,60", "021,0.30,60,60")
    cast.price_by("two", label="voice", organization="acme")

    receipt = end_one(use(acme, "voice", "c1", 60, call=call(), estimated=True, rate_policy="highest"))

    assert (receipt.cost, receipt.warnings) == (Decimal("0.30"), ("no_hold", "maximum_rate"))
