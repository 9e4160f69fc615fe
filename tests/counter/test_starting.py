"""Uses that begin: money is held, the longest call is computed, refusals for want of money are remembered."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from counter import holding, starting
from counter.models import ServiceRecord
from counter.uses import NamedUse, UseRequest
from ledger import accounts
from tests import cast
from tests.counter.told import NOON, call, end, end_one, expire_at, money, refusal_of, start, states, stop_clock, use

pytestmark = pytest.mark.usefixtures("books")


def callback(*, money="1.00", legs="both", **columns):
    """Acme's callbacks: leg A 0.06 and leg B 0.12 a minute."""
    acme = cast.acme(money)
    cast.make_item("callback", "by_deck", legs=legs, opened_for=(acme,), **columns)
    cast.make_deck("leg-a", ",0.06,60,60")
    cast.make_deck("leg-b", ",0.12,60,60")
    cast.price_by("leg-a", label="callback.a", organization="acme")
    cast.price_by("leg-b", label="callback.b", organization="acme")
    return acme


def ask(account, *, organizations=None, **more):
    request = UseRequest(account.accno, "callback", call=call(caller="13800000001"), **more)
    return starting.quote_service(request, organizations=organizations, at=clock.now())


def cancel(account, label, providerno="", *, svcno="", reason=""):
    named = NamedUse(account.accno, label, providerno, svcno)
    return starting.cancel_service(named, reason=reason, organizations=None, at=clock.now())


def test_the_longest_callback_is_what_the_money_pays_with_both_legs_and_the_ringing():
    acme = callback()
    cast.make_item("reserve", price="0.30", opened_for=(acme,))
    start(acme, "reserve", "r1")

    first = start(acme, "callback", "c1", call=call(caller="13800000001"), ring_timeout=60)

    assert (first.max_seconds, first.limit_reason, first.hold) == (180, "balance", Decimal("0.60"))
    assert (first.available, first.charged_legs) == (Decimal("0.10"), "both")
    assert money(acme) == ("1", "0.9")
    refused = refusal_of(start, acme, "callback", "c2", call=call(caller="13800000001"), ring_timeout=60)
    assert refused.code == "insufficient_balance"
    assert money(acme) == ("1", "0.9")


@pytest.mark.parametrize(
    ("wish", "step", "seconds", "reason", "hold"),
    [
        (60, 0, 60, "requested", "0.12"),
        (61, 0, 61, "requested", "0.24"),
        (119, 60, 60, "requested", "0.12"),
        (0, 0, 300, "plan", "0.60"),
        (9999, 0, 300, "plan", "0.60"),
    ],
)
def test_the_callers_wish_and_the_plan_cut_the_call(wish, step, seconds, reason, hold):
    acme = callback(legs="b", max_seconds=300)

    granted = start(acme, "callback", "c1", call=call(), max_seconds=wish, step=step)

    assert (granted.max_seconds, granted.limit_reason, granted.hold) == (seconds, reason, Decimal(hold))


def test_less_than_one_unit_of_the_platform_is_no_call():
    acme = callback(legs="b")

    assert (
        refusal_of(start, acme, "callback", "c1", call=call(), max_seconds=59, step=60).code == "insufficient_balance"
    )


def test_a_quote_says_what_the_start_would_and_writes_nothing():
    acme = callback()

    quote = ask(acme, ring_timeout=60)

    assert (quote.allowed, quote.price, quote.increment_seconds) == (True, Decimal("0.18"), 60)
    assert (quote.max_seconds, quote.limit_reason, quote.hold) == (300, "balance", Decimal("0.96"))
    assert [(line.leg, line.price) for line in quote.lines] == [("a", Decimal("0.06")), ("b", Decimal("0.12"))]
    assert (quote.charged_legs, quote.deck_version, quote.warnings) == ("both", "leg-a:1,leg-b:1", ())
    assert money(acme) == ("1", "0")
    assert not ServiceRecord.objects.exists()


def test_a_quote_refuses_with_the_code_of_the_start():
    acme = callback(money="0.17")

    assert (ask(acme).allowed, ask(acme).code) == (False, 706)
    cast.make_item("seats", "resource", opened_for=(acme,))
    seats = starting.quote_service(UseRequest(acme.accno, "seats"), organizations=None, at=clock.now())
    assert (seats.allowed, seats.code) == (False, 715)
    assert refusal_of(ask, acme, organizations=frozenset({"echo"})).code == "account_not_found"


def test_a_blocked_destination_is_refused_and_leaves_no_trace():
    acme = cast.acme()
    cast.make_item("callback", "by_deck", opened_for=(acme,))
    cast.make_deck("b", ",0.12,60,60,", "021,0.12,60,60,true", columns=f"{cast.DECK_COLUMNS},blocked")
    cast.make_deck("default", ",0.60,60,60")
    cast.price_by("b", label="callback", organization="acme")

    assert refusal_of(start, acme, "callback", "c1", call=call()).code == "destination_blocked"
    assert ask(acme).code == 716
    assert not ServiceRecord.objects.exists()


def test_without_a_rate_the_gate_quotes_the_default_or_refuses_as_it_is_set(settings):
    acme = cast.acme()
    cast.make_item("callback", "by_deck", opened_for=(acme,))
    cast.make_deck("default", ",0.60,60,60")

    assert (ask(acme, max_seconds=60).hold, ask(acme).warnings) == (Decimal("0.60"), ("default_rate",))
    settings.RATING_MISSING_RATE_AT_GATE = "refuse"
    assert (ask(acme).allowed, ask(acme).code) == (False, 717)
    assert refusal_of(start, acme, "callback", "c1", call=call()).code == "no_rate"


def test_an_old_client_that_says_nothing_about_the_call_holds_the_window():
    acme = callback(legs="b", hold_seconds=120)

    assert start(acme, "callback", "c1").hold == Decimal("0.24")


def test_per_use_holds_the_price_and_per_duration_a_window_that_ends_with_the_use():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    cast.make_item("meeting", "per_duration", price="0.10", connect_fee=Decimal("0.01"), opened_for=(acme,))
    stop_clock(clock.now())

    assert start(acme, "sms", "m1", count=3).hold == Decimal("0.15")
    assert start(acme, "meeting", "m1").hold == Decimal("1.01")
    short = start(acme, "meeting", "m2", expire=clock.now() + timedelta(seconds=61), count=2)
    assert short.hold == Decimal("0.41")


def test_a_free_use_is_started_without_a_hold():
    beta = cast.beta()
    cast.make_item("free", price="0", opened_for=(beta,))

    assert start(beta, "free", "f1").hold == 0
    assert (states(), money(beta)) == ([("f1", "started")], ("0", "0"))


def test_a_replay_is_the_first_answer_while_the_use_goes_on():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    first = start(acme, "sms", "m1", count=2)
    cast.give_money(acme, "5.00", reference="more")

    again = start(acme, "sms", "m1", count=2)

    assert (again.svcno, again.hold, again.available, again.expire) == (
        first.svcno, first.hold, first.available, first.expire,
    )  # fmt: skip
    assert (first.duplicate, again.duplicate) == (False, True)
    assert money(acme) == ("105", "0.1")


def test_other_content_under_the_key_is_a_conflict_that_names_fields_only():
    acme, echo = cast.acme(), cast.echo()
    cast.make_item("sms", price="0.05", opened_for=(acme, echo))
    start(acme, "sms", "m1", count=2)

    refused = refusal_of(start, acme, "sms", "m1", count=3)

    assert (refused.code, str(refused)) == ("idempotency_conflict", "differs in: count")
    assert refusal_of(start, echo, "sms", "m1", count=2).fields["fields"] == ["accno"]
    assert (money(acme), money(echo)) == (("100", "0.1"), ("100", "0"))


def test_a_refusal_for_want_of_money_stays_after_a_top_up():
    beta = cast.beta()
    cast.make_item("sms", price="0.05", opened_for=(beta,))
    assert refusal_of(start, beta, "sms", "m1").code == "insufficient_balance"
    cast.give_money(beta, "1.00")

    assert refusal_of(start, beta, "sms", "m1").code == "insufficient_balance"
    assert states() == [("m1", "refused")]
    assert start(beta, "sms", "m2").hold == Decimal("0.05")


def test_a_refused_use_can_be_neither_kept_nor_cancelled_but_what_happened_is_charged():
    beta = cast.beta()
    cast.make_item("sms", price="0.05", opened_for=(beta,))
    refusal_of(start, beta, "sms", "m1")

    assert refusal_of(cancel, beta, "sms", "m1").code == "record_not_found"
    receipt = end_one(use(beta, "sms", "m1"))
    assert (receipt.cost, receipt.warnings) == (Decimal("0.05"), ("no_hold", "overdrawn"))
    assert money(beta) == ("-0.05", "0")


@pytest.mark.parametrize("state", ["ended", "cancelled", "expired"])
def test_a_start_after_the_end_is_never_the_old_yes(state):
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    expire = clock.now() + timedelta(minutes=1)
    start(acme, "sms", "m1", expire=expire)
    if state == "ended":
        end(use(acme, "sms", "m1"))
    elif state == "cancelled":
        cancel(acme, "sms", "m1")
    else:
        assert expire_at(expire) == 1

    refused = refusal_of(start, acme, "sms", "m1", expire=expire)

    assert (refused.code, refused.fields["state"]) == ("reference_closed", state)
    assert money(acme)[1] == "0"


def test_the_key_that_a_use_was_started_under_stays_closed_when_its_end_names_another():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    svcno = start(acme, "sms", "call-1").svcno
    end(use(acme, "sms", "uuid-1", svcno=svcno))

    assert refusal_of(start, acme, "sms", "call-1").fields["state"] == "ended"
    assert refusal_of(cancel, acme, "sms", "call-1").fields["state"] == "ended"
    assert money(acme) == ("99.95", "0")


@pytest.mark.parametrize("minutes", [-1, 0, 24 * 60 + 1])
def test_an_expiry_in_the_past_or_beyond_a_day_is_refused(minutes):
    acme = cast.acme()
    cast.make_item("sms", opened_for=(acme,))
    stop_clock(clock.now())

    refused = refusal_of(start, acme, "sms", "m1", expire=clock.now() + timedelta(minutes=minutes))

    assert (refused.code, list(refused.fields["fields"])) == ("validation", ["expire"])
    assert not ServiceRecord.objects.exists()


def test_without_an_expiry_the_hold_ends_in_a_day():
    acme = cast.acme()
    cast.make_item("sms", opened_for=(acme,))
    stop_clock(clock.now())

    assert start(acme, "sms", "m1").expire == clock.now() + timedelta(hours=24)


def test_another_organisations_account_does_not_exist():
    echo = cast.echo()
    cast.make_item("sms", opened_for=(echo,))
    request = UseRequest(echo.accno, "sms", "m1")

    refused = refusal_of(starting.start_service, request, organizations=frozenset({"acme"}), at=clock.now())

    assert refused.code == "account_not_found"
    assert money(echo) == ("100", "0")


def test_a_quota_refuses_the_start_where_it_is_asked_and_is_not_remembered():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", quota=Decimal(1), opened_for=(acme,))
    stop_clock(NOON)  # a use that began just now began in this month
    end(use(acme, "sms", "m0"))

    assert refusal_of(start, acme, "sms", "m1", check_quota=True).code == "quota_exceeded"
    assert start(acme, "sms", "m1").hold == Decimal("0.05")


def test_an_account_suspended_between_check_and_hold_is_refused_with_the_public_number():
    acme = cast.acme()
    accounts.suspend_account(acme.accno)

    refused = refusal_of(holding.place, acme.id, amount=Decimal(1), record_id=1, expires_at=clock.now())

    assert (refused.code, refused.billing_code) == ("account_suspended", 705)


def test_resources_are_not_started():
    acme = cast.acme()
    cast.make_item("seats", "resource", opened_for=(acme,))

    assert refusal_of(start, acme, "seats", "s1").code == "wrong_charge_mode"


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancel_returns_the_hold_once_and_answers_the_same_again():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    svcno = start(acme, "sms", "m1").svcno

    first, again = cancel(acme, "sms", "m1", reason="no answer"), cancel(acme, "", svcno=svcno)

    assert (first.state, first.released, first.duplicate) == ("cancelled", Decimal("0.05"), False)
    assert (again.svcno, again.state, again.released, again.duplicate) == (svcno, "cancelled", Decimal("0.05"), True)
    assert (money(acme), states()) == (("100", "0"), [("m1", "cancelled")])


def test_an_ended_use_cannot_be_cancelled_and_an_unknown_one_is_not_found():
    acme = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    end(use(acme, "sms", "m1"))

    assert refusal_of(cancel, acme, "sms", "m1").fields["state"] == "ended"
    assert refusal_of(cancel, acme, "sms", "m2").code == "record_not_found"
    assert refusal_of(cancel, acme, "", svcno="S2026030299999999").code == "record_not_found"
    assert refusal_of(cancel, acme, "", svcno="not ours").code == "validation"
    assert refusal_of(cancel, acme, "", svcno="S20260302" + "9" * 18).code == "record_not_found"
    assert money(acme) == ("99.95", "0")


def test_only_the_owner_cancels():
    acme, echo = cast.acme(), cast.echo()
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    svcno = start(acme, "sms", "m1").svcno

    assert refusal_of(cancel, echo, "sms", "m1").code == "record_not_found"
    stranger = NamedUse("", "", "", svcno)
    refused = refusal_of(
        starting.cancel_service, stranger, reason="", organizations=frozenset({"echo"}), at=clock.now()
    )
    assert refused.code == "record_not_found"
    assert money(acme) == ("100", "0.05")
