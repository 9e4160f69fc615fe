"""Charges made are priced again by today's tariffs: what changes is reversed and charged anew, nothing is edited."""

import csv
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from billing_platform import clock, closing
from billing_platform.closing import Closed
from billing_platform.models import AuditEntry, OutboxEvent
from billing_platform.runs import GuardRail
from counter.charged import month_of
from counter.models import QuotaUse, ReplacedCharge, ServicePrice, ServiceRecord
from counter.replacing import Replacement, replace_charges
from counter.rerating import Order, apply, compare
from ledger.models import Transfer
from rating.assignments import assign_deck
from tests import cast
from tests.counter.prices import supplier_deck
from tests.counter.told import NOON, call, end, end_one, look_afresh, money, stop_clock, transfers_of_uses, use
from tests.processes import ROOT

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture(scope="module")
def prices(module_database):
    """An account and its decks, for all of these stories; what a story adds is rolled back."""
    look_afresh()
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("flat", "021,0.12,60,60", "13,0.30,60,60", "00852,0.60,60,60", "95,0.20,60,60")
    cast.make_deck("cheap", "021,0.10,60,60", "13,0.30,60,60", "00852,0.50,60,60", "95,0.10,60,60")
    cast.make_deck("default", ",0.60,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    return account


@pytest.fixture
def acme(prices, books):
    stop_clock(NOON)
    return prices


def rerate(*arguments, period="2026-03"):
    """Exit code and envelope of the command."""
    out = StringIO()
    try:
        call_command("rerate", "--period", period, "--format", "json", *arguments, stdout=out)
    except SystemExit as end_of_it:
        return int(str(end_of_it.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def footprint():
    """Everything that a dry run must leave alone."""
    found = []
    with connection.cursor() as cursor:
        for table in (
            "counter_servicerecord",
            "counter_replacedcharge",
            "ledger_transfer",
            "billing_platform_outboxevent",
        ):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")  # noqa: S608
            found += cursor.fetchall()
    return found


def cheaper():
    cast.price_by("cheap", label="voice", organization="acme")


def test_a_dry_run_tells_every_difference_and_changes_nothing(acme):
    end(use(acme, "voice", "c1", 61, call=call()), use(acme, "voice", "c2", 60, call=call("13800000001")))
    cheaper()
    before = footprint()

    code, told = rerate()

    assert (code, told["dry_run"], told["counts"]) == (0, True, {"calls": 2, "changed": 1})
    assert Decimal(told["amounts"]["CNY"]) == Decimal("-0.04")
    total, by_account, one = told["items"]
    assert [item["by"] for item in told["items"]] == ["total", "account", "call"]
    assert (by_account["account"], by_account["calls"], total["calls"]) == (acme.accno, 1, 1)
    for item in (total, by_account, one):
        assert [Decimal(item[name]) for name in ("old", "new", "difference")] == [
            Decimal("0.24"), Decimal("0.20"), Decimal("-0.04")]  # fmt: skip
    assert footprint() == before


def test_apply_reverses_and_charges_anew_once(acme):
    end(use(acme, "voice", "c1", 61, call=call()), use(acme, "voice", "c2", 60, call=call("13800000001")))
    old = ServiceRecord.objects.get(providerno="c1")
    cheaper()

    code, told = rerate("--apply")

    assert (code, Decimal(told["amounts"]["CNY"]), money(acme)) == (0, Decimal("-0.04"), ("99.5", "0"))
    assert transfers_of_uses() == [Decimal("0.24"), Decimal("0.3"), Decimal("-0.24"), Decimal("0.2")]
    record = ServiceRecord.objects.get(providerno="c1")
    assert (record.cost, record.deck_version, record.warnings) == (Decimal("0.2"), "cheap:1", "no_hold,repriced")
    history = ReplacedCharge.objects.get()
    assert (history.transfer_id, history.cost, history.explanation) == (old.transfer_id, old.cost, old.explanation)
    reversal = Transfer.objects.get(pk=history.reversal_id)
    assert (reversal.reverses, reversal.effective_at) == (old.transfer_id, old.finish_at)
    new = Transfer.objects.get(pk=record.transfer_id)
    assert (new.effective_at, new.memo) == (old.finish_at, f"instead of {old.transfer_id}")
    (event,) = OutboxEvent.objects.filter(topic="use.repriced")
    assert (event.subject, event.organization) == (str(record.pk), "acme")
    assert (event.payload["cost"], event.payload["cost_before"]) == ("0.200000", "0.240000")
    assert AuditEntry.objects.get(act="uses.reprice").after["calls"] == 1
    before = footprint()
    assert rerate("--apply")[1]["amounts"] == {}
    assert footprint() == before


def test_it_can_be_changed_back_again(acme):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    for deck, cost in (("cheap", "0.10"), ("flat", "0.12"), ("cheap", "0.10")):
        cast.price_by(deck, label="voice", organization="acme")
        rerate("--apply")
        assert ServiceRecord.objects.get().cost == Decimal(cost)

    assert (ReplacedCharge.objects.count(), money(acme)) == (3, ("99.9", "0"))


def test_numbers_and_carriers_are_those_of_the_charge(acme):
    end(use(acme, "voice", "c1", 60, call=call("0085221234567")), use(acme, "voice", "c2", 60, call=call("95588")),
        use(acme, "voice", "c3", 60, call=call("anonymous")))  # fmt: skip
    cheaper()

    rerate("--apply")

    assert list(ServiceRecord.objects.order_by("pk").values_list("cost", "deck_version")) == [
        (Decimal("0.5"), "cheap:1"), (Decimal("0.1"), "cheap:1"), (Decimal("0.6"), "default:1"),
    ]  # fmt: skip


def test_calls_by_the_default_rate_get_the_rate_that_was_missing(acme):
    cast.make_item("direct", "by_deck", opened_for=(acme,))
    end(use(acme, "direct", "d1", 60, call=call()), use(acme, "voice", "c1", 60, call=call()))
    cast.price_by("cheap", label="direct", organization="acme")
    cheaper()

    told = rerate("--flag", "default_rate", "--apply")[1]

    assert (told["counts"]["changed"], Decimal(told["amounts"]["CNY"])) == (1, Decimal("-0.5"))
    record = ServiceRecord.objects.get(providerno="d1")
    assert (record.cost, record.warnings) == (Decimal("0.1"), "no_hold,repriced")


@pytest.mark.parametrize(
    ("condition", "changed"),
    [
        (("--account", "ACCNO"), 3), (("--prefix", "8621"), 1), (("--prefix", "852"), 1), (("--prefix", "8610"), 0),
        (("--deck-version", "flat:1"), 3), (("--deck-version", "flat:2"), 0), (("--carrier", "CMCC"), 0),
        (("--prefix", "8621", "--prefix", "852"), 2), (("--organization", "acme"), 3), (("--organization", "beta"), 0),
        (("--use", "FIRST"), 1), (("--use", "FIRST", "--prefix", "852"), 0),
    ],
)  # fmt: skip
def test_the_scope_narrows(acme, condition, changed):
    end(*(use(acme, "voice", number, 60, call=call(number)) for number in ("02160001234", "0085221234567", "95588")))
    cheaper()

    named = {"ACCNO": acme.accno, "FIRST": str(ServiceRecord.objects.earliest("id").pk)}
    told = rerate(*(named.get(one, one) for one in condition))[1]

    assert told["counts"].get("changed", 0) == changed


def test_the_month_is_that_of_the_start_on_the_platforms_calendar(acme):
    stop_clock(NOON.replace(day=31, hour=16, minute=5))  # 00:05 on 1 April in Shanghai
    end(use(acme, "voice", "c1", 60, call=call()), use(acme, "voice", "c2", 600, call=call()))
    cheaper()

    assert [rerate(period=month)[1]["counts"].get("changed", 0) for month in ("2026-03", "2026-04")] == [1, 1]


def test_per_use_and_per_duration_prices_too(acme):
    cast.make_item("sms", price="0.05", opened_for=(acme,))
    cast.make_item("meeting", "per_duration", price="0.10", opened_for=(acme,), quota=Decimal(100))
    cast.grant_uses(acme, "sms", "1")
    end(use(acme, "sms", "m1", count=3), use(acme, "meeting", "t1", 61))
    ServicePrice.objects.filter(item__label="sms").update(price=Decimal("0.04"))
    ServicePrice.objects.filter(item__label="meeting").update(price=Decimal("0.20"), increment=120)

    rerate("--apply")

    assert [record.cost for record in ServiceRecord.objects.order_by("pk")] == [Decimal("0.08"), Decimal("0.2")]
    assert QuotaUse.objects.get().used == 2


def test_package_minutes_stay_drawn(acme):
    cast.grant_minutes(acme, "voice", "1")
    end_one(use(acme, "voice", "c1", 150, call=call()))
    cheaper()

    rerate("--apply")

    assert (ServiceRecord.objects.get().cost, money(acme)) == (Decimal("0.2"), ("99.8", "0"))


def test_a_free_call_that_is_no_longer_free_has_nothing_to_reverse(acme):
    cast.make_deck("free", "021,0,60,60")
    cast.price_by("free", label="voice", organization="acme")
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()

    rerate("--apply")
    assert (transfers_of_uses(), money(acme)) == ([Decimal("0.1")], ("99.9", "0"))

    cast.price_by("free", label="voice", organization="acme")
    rerate("--apply")
    assert (ServiceRecord.objects.get().transfer_id, money(acme)) == (None, ("100", "0"))


def test_large_differences_are_confirmed_first(acme, settings):
    settings.RERATE_CONFIRM_AMOUNT = 0
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()
    before = footprint()

    code, told = rerate("--apply")
    assert (code, told["errors"][0]["code"]) == (4, "guard_rail")
    assert footprint() == before
    assert rerate("--apply", "--confirm", "something")[0] == 4

    token = told["errors"][0]["ref"].rpartition("token=")[2]
    assert rerate("--apply", "--confirm", token)[0] == 0
    assert ServiceRecord.objects.get().cost == Decimal("0.1")


def test_the_token_is_that_of_each_difference_and_not_of_their_sum(acme):
    """Two prices change so that the calls together come out the same: another thing than what was confirmed."""
    end(use(acme, "voice", "c1", 60, call=call()), use(acme, "voice", "c2", 60, call=call("95588")))
    cheaper()
    order, silent = Order(month_of("2026-03")), (lambda done, total: None)
    token = order.token(compare(order, progress=silent))
    cast.make_deck("other", "021,0.02,60,60", "95,0.18,60,60")
    cast.price_by("other", label="voice", organization="acme")
    before = footprint()

    assert rerate("--apply", "--confirm", token)[0] == 4
    assert footprint() == before
    cheaper()
    assert rerate("--apply", "--confirm", token)[1]["amounts"] == {"CNY": "-0.120000"}


def test_a_price_that_changes_while_it_is_written_is_not_charged(acme):
    """What was compared is what is written: range by range, and call by call."""
    end_one(use(acme, "voice", "c1", 60, call=call()))
    record = ServiceRecord.objects.get()
    cheaper()
    order, silent = Order(month_of("2026-03")), (lambda done, total: None)
    seen = compare(order, progress=silent).ranges
    cast.make_deck("free", "021,0,60,60")
    cast.price_by("free", label="voice", organization="acme")
    before = footprint()

    with pytest.raises(GuardRail):
        apply(order, cause="rerate:7", progress=silent, seen=seen)
    wanted = Replacement(record.pk, record.finish_at, Decimal("0.10"))
    assert replace_charges([wanted], cause="rerate:7", at=NOON) == []
    assert footprint() == before


@pytest.fixture
def march_is_closed(acme, monkeypatch):
    def ask(account_ids, *, begins, ends):
        return [Closed(acme.id, NOON.replace(day=1), NOON.replace(day=20))]

    monkeypatch.setattr(closing, "resolve", lambda _names: [ask])


def test_closed_periods_are_skipped(acme, march_is_closed):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()
    before = footprint()

    told = rerate("--apply")[1]

    assert (told["counts"]["skipped_closed"], told["items"][0]["skipped"], told["amounts"]) == (1, "closed", {})
    assert footprint() == before


def test_closed_periods_are_adjusted_in_the_open_one_when_asked_for(acme, march_is_closed):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()
    later = NOON + timedelta(days=40)
    stop_clock(later)

    rerate("--apply", "--include-closed", "adjust")

    assert list(Transfer.objects.filter(effective_at=later).values_list("amount", flat=True)) == [
        Decimal("0.12"), Decimal("0.1")]  # fmt: skip


def test_a_charge_without_a_price_today_stays(acme, settings):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cast.make_deck("empty", "010,1,60,60")
    cast.price_by("empty", label="voice", organization="acme")
    settings.RATING_DEFAULT_DECK = "none"

    told = rerate("--apply")[1]

    assert (told["counts"]["unpriced"], told["amounts"], money(acme)) == (1, {}, ("99.88", "0"))


def test_what_was_changed_by_somebody_else_meanwhile_is_not_charged_twice(acme, monkeypatch):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()

    def another_first(*arguments, **more):
        replace_charges(*arguments, cause="rerate:another", at=more["at"])
        return replace_charges(*arguments, **more)

    monkeypatch.setattr("counter.rerating.replace_charges", another_first)
    told = rerate("--apply")[1]

    assert (told["counts"]["changed_meanwhile"], told["amounts"], money(acme)) == (1, {}, ("99.9", "0"))


def test_what_the_ledger_did_not_move_is_no_success(acme, monkeypatch):
    end_one(use(acme, "voice", "c1", 60, call=call()))
    cheaper()
    monkeypatch.setattr("counter.rerating.moved_by", lambda _ids: {"CNY": Decimal(1)})

    assert rerate("--apply")[0] == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ("--account", "C99999999"), ("--deck-version", "flat"), ("--processes", "0"),
        ("--organization", "beta", "--account", "C00000001"), ("--csv", "/nowhere/report.csv"),
        ("--what-if", "flat:1", "--apply"), ("--what-if", "flat:9"), ("--what-if", "none:1"), ("--what-if", ":1"),
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(acme, arguments):
    assert rerate(*arguments)[0] == 2


@pytest.mark.parametrize("period", ["2026-13", "2026", "03-2026", "2026-3", "x"])
def test_a_period_is_a_month(acme, period):
    assert rerate(period=period)[0] == 2


def test_a_run_that_is_cut_off_is_completed_by_the_next(acme, monkeypatch):
    end(*(use(acme, "voice", f"c{n}", 60, call=call()) for n in range(5)))
    cheaper()
    monkeypatch.setattr("counter.rerating.BATCH", 2)
    verified = []

    def killed_after_the_first(made, *, cause):
        verified.append(made)
        if len(verified) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("counter.rerating._verify", killed_after_the_first)
    assert rerate("--apply")[0] == 130
    assert money(acme) == ("99.48", "0")

    monkeypatch.undo()
    told = rerate("--apply")[1]

    assert (told["counts"]["changed"], Decimal(told["amounts"]["CNY"])) == (1, Decimal("-0.02"))
    assert (money(acme), ReplacedCharge.objects.count()) == (("99.5", "0"), 5)


def test_a_run_that_is_taken_up_under_its_own_name_tells_what_an_undisturbed_one_tells(acme, monkeypatch):
    supplier_deck("trunk", "86,0.05,60,60")
    end(*(use(acme, "voice", f"c{n}", 60 * n, call=call()) for n in range(1, 6)))
    cheaper()
    monkeypatch.setattr("counter.rerating.BATCH", 2)
    order, silent = Order(month_of("2026-03")), (lambda done, total: None)
    undisturbed = compare(order, progress=silent)

    def stopped_in_the_middle(done, total):
        if ReplacedCharge.objects.count() == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(order, cause="rerate:7", progress=stopped_in_the_middle)
    assert order.token(compare(order, progress=silent, cause="rerate:7")) == order.token(undisturbed)
    outcome = apply(order, cause="rerate:7", progress=silent)

    assert (outcome.accounts, outcome.changed) == (undisturbed.accounts, undisturbed.changed)
    assert (outcome.counts["changed"], ReplacedCharge.objects.count()) == (5, 5)
    assert (outcome.totals["CNY"].margin_new, outcome.totals["CNY"].cost_unknown) == (Decimal("0.75"), 0)
    again = apply(order, cause="rerate:7", progress=silent)
    assert (again.accounts, ReplacedCharge.objects.count()) == (undisturbed.accounts, 5)


def test_margins_are_over_the_calls_whose_cost_is_known(acme):
    supplier_deck("trunk", "8621,0.05,60,60")
    end(use(acme, "voice", "c1", 60, call=call()), use(acme, "voice", "c2", 60, call=call("0085221234567")))
    cheaper()

    total = rerate("--apply")[1]["items"][0]

    assert (total["calls"], total["cost_unknown"]) == (2, 1)
    assert [Decimal(total[name]) for name in ("margin_old", "margin_new", "difference")] == [
        Decimal("0.07"), Decimal("0.05"), Decimal("-0.12")]  # fmt: skip


def test_the_file_has_every_row_and_figures_without_apostrophes(acme, tmp_path):
    end(use(acme, "voice", "c1", 60, call=call()))
    cheaper()

    told = rerate("--csv", str(tmp_path / "r.csv"))[1]

    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["by"] for row in rows] == ["total", "account", "call"]
    assert {row["difference"] for row in rows} == {told["items"][0]["difference"]} == {"-0.020000"}


def test_who_reads_the_text_sees_the_accounts(acme):
    end(use(acme, "voice", "c1", 60, call=call()))
    cheaper()
    out = StringIO()

    call_command("rerate", "--period", "2026-03", stdout=out)

    lines = out.getvalue().splitlines()
    assert lines[:2] == ["calls: 1", "changed: 1"]
    assert lines[2].split()[:2] == ["by", "account"]
    assert [line.split()[0] for line in lines[3:5]] == ["total", "account"]
    assert lines[-1] == "dry run: nothing was changed; add --apply"


def test_killed_in_the_middle_and_started_again_charges_each_call_anew_once(committed_books):
    """A real process and kill -9, in the second of two transactions; another tenant is re-rated undisturbed."""
    parties = [cast.acme(), cast.make_account("echo", money="100.00")]
    cast.make_item("voice", "by_deck", opened_for=parties)
    cast.make_deck("flat", "021,0.12,60,60")
    cast.make_deck("cheap", "021,0.10,60,60")
    for party in parties:
        cast.price_by("flat", label="voice", organization=party.organization)
    uses = [
        use(party, "voice", f"{party.accno}-{n}", call=call(), finish=NOON) for party in parties for n in range(201)
    ]
    for begin in range(0, len(uses), 400):
        end(*uses[begin : begin + 400])
    for party in parties:
        cast.price_by("cheap", label="voice", organization=party.organization)

    scope = ["--period", "2026-03", "--organization", "acme"]
    died = subprocess.run(
        [sys.executable, "manage.py", "rerate", *scope, "--apply", "--skip-checks"], cwd=ROOT, capture_output=True,
        env=os.environ | {"FAILPOINTS": "counter.replacing.before_commit:kill9@2"}, check=False,
    )  # fmt: skip

    assert (died.returncode, died.stdout) == (-signal.SIGKILL, b""), died.stderr.decode()
    assert ReplacedCharge.objects.count() == 200
    told = [rerate("--organization", party.organization, "--apply")[1] for party in parties]
    assert [one["counts"]["changed"] for one in told] == [1, 201]
    replaced = ReplacedCharge.objects.values_list("record_id", flat=True)
    assert (len(replaced), len(set(replaced))) == (402, 402)
    assert [money(party) for party in parties] == [("79.9", "0")] * 2
    assert call_oracle() == 0
    assert rerate("--apply")[1]["amounts"] == {}


def call_oracle():
    """The exit code of verify_ledger."""
    try:
        call_command("verify_ledger", stdout=StringIO())
    except SystemExit as end_of_it:
        return int(str(end_of_it.code))
    return 0


def test_an_honest_month_comes_out_the_same(acme):
    """Assignments that change in the month, fallbacks, legs, packages, estimates, default rates, unanswered calls."""
    cast.make_item("both", "by_deck", legs="both", opened_for=(acme,))
    cast.make_item("direct", "by_deck", opened_for=(acme,))
    cast.price_by("flat", label="both", organization="acme")
    cast.price_by("cheap", label="both.a", organization="acme")
    cast.make_deck("own", "021,0.01,60,60")
    cast.make_deck("new", "13,0.02,60,60")
    for family, days, fallback in (("own", None, ["*any"]), ("new", 2, ["other"]), ("own", 4, ["*any", "other"])):
        since = None if days is None else NOON + timedelta(days=days)
        assign_deck(family, tenant="acme", category="voice", subject=acme.accno, active_from=since, fallback=fallback)
    assign_deck("cheap", tenant="acme", category="voice", subject="other", active_from=None, fallback=[])
    cast.tariffs.refresh()
    cast.grant_minutes(acme, "voice", "1")
    numbers = ("02160001234", "13800000001", "0085221234567", "95588", "00447911123456", "anonymous")
    for day in range(6):
        stop_clock(NOON + timedelta(days=day))
        cast.tariffs.refresh()
        facts = call("13800000001", caller="02160001234", agent_answer_at=clock.now() - timedelta(seconds=200))
        end(
            *(use(acme, "voice", f"{day}:{number}", 95, call=call(number)) for number in numbers),
            use(acme, "both", f"{day}", 100, call=facts), use(acme, "direct", f"{day}", 100, call=call()),
            use(acme, "voice", f"{day}:e", 70, call=call(), estimated=True, rate_policy="highest"),
            use(acme, "voice", f"{day}:u", 70, call=call(answered=False)),
        )  # fmt: skip
    before = footprint()

    assert rerate("--apply")[1]["counts"] == {"calls": 54}
    assert footprint() == before
    cast.publish_deck("flat", "021,0.99,60,60", "13,0.99,60,60", effective_from=clock.now() + timedelta(days=40))
    assert rerate("--what-if", "flat:1")[1]["amounts"] == {"CNY": "0.000000"}
    OutboxEvent.objects.update(state="delivered")
