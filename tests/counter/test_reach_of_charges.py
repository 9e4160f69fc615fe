"""Local or long distance is judged once, when a use is charged; it stays with the charge."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from counter.audit import use_findings
from counter.models import ServiceRecord
from counter.stored import stored_charges
from rating import tariffs
from rating.explaining.again import mismatch_of, read_charge
from rating.models import Carrier, NumberSegment
from tests import cast
from tests.counter.told import NOON, call, end_one, stop_clock, use

pytestmark = pytest.mark.usefixtures("books")

SHANGHAI, SHANGHAI_MOBILE = "021-60001234", "13800210000"
BEIJING_MOBILE = "13800138000"
ROWS = ("13,0.50,60,60,", "13,0.10,60,60,local", "13,0.20,60,60,long_distance")
COLUMNS = "prefix,rate,first_increment,next_increment,reach"


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("voice", "by_deck", legs="b", opened_for=(account,))
    cast.make_item("callback", "by_deck", legs="both", opened_for=(account,))
    cast.make_deck("near-and-far", *ROWS, columns=COLUMNS)
    cast.make_deck("flat", "13,0.30,60,60")
    for label in ("voice", "callback"):
        cast.price_by("near-and-far", label=label, organization="acme")
    stop_clock(NOON)
    return account


def charged(account, providerno, *, caller=SHANGHAI, called=SHANGHAI_MOBILE, label="voice"):
    """The cost of a minute, and how far its legs went."""
    end_one(use(account, label, providerno, 60, call=call(called, caller=caller)))
    record = ServiceRecord.objects.get(providerno=providerno)
    numbers = [line["number"] for line in json.loads(record.explanation)["lines"]]
    return record.cost, [(one["reach"], one["area"], one["caller_area"]) for one in numbers]


def move_shanghai_to_beijing():
    carrier = Carrier.objects.get(code="CMCC")
    NumberSegment.objects.create(prefix="861380021", carrier=carrier, area="10", source="by hand")
    tariffs.refresh()


def mismatches():
    return [found for raw in stored_charges(100) if (found := mismatch_of(read_charge(raw))) is not None]


def rerate(*options):
    out = StringIO()
    call_command("rerate", "--period", "2026-03", "--format", "json", *options, stdout=out)
    return json.loads(out.getvalue())


def test_calls_of_mobiles_are_local_or_not(acme):
    assert charged(acme, "c1") == (Decimal("0.10"), [("local", "21", "21")])
    assert charged(acme, "c2", caller=BEIJING_MOBILE) == (Decimal("0.20"), [("long_distance", "21", "10")])
    assert charged(acme, "c3", caller="anonymous") == (Decimal("0.50"), [("", "21", "")])
    assert charged(acme, "c4", caller="") == (Decimal("0.50"), [("", "21", "")])


def test_leg_a_of_a_callback_is_local_to_itself(acme):
    both = charged(acme, "c1", caller=BEIJING_MOBILE, label="callback")

    assert both == (Decimal("0.30"), [("local", "10", "10"), ("long_distance", "21", "10")])


def test_a_segment_that_moves_changes_the_next_price_and_no_old_one(acme):
    before = charged(acme, "c1")
    move_shanghai_to_beijing()

    assert before == (Decimal("0.10"), [("local", "21", "21")])
    assert charged(acme, "c2") == (Decimal("0.20"), [("long_distance", "10", "21")])
    assert mismatches() == []
    assert [found for found in use_findings(repriced_max=None) if found.breaches] == []
    assert rerate()["counts"] == {"calls": 2}


def test_a_rate_that_begins_to_name_a_reach_goes_by_what_was_judged_then(acme):
    cast.price_by("flat", label="voice", organization="acme", accno=acme.accno)
    assert charged(acme, "c1") == (Decimal("0.30"), [("local", "21", "21")])
    move_shanghai_to_beijing()
    cast.price_by("near-and-far", label="voice", organization="acme", accno=acme.accno)

    told = rerate("--apply")

    assert (told["counts"]["changed"], Decimal(told["amounts"]["CNY"])) == (1, Decimal("-0.20"))
    record = ServiceRecord.objects.get(providerno="c1")
    number = json.loads(record.explanation)["lines"][0]["number"]
    assert (record.cost, number["reach"], number["area"], number["caller_area"]) == (
        Decimal("0.10"), "local", "21", "21",
    )  # fmt: skip
    assert mismatches() == []
    assert rerate()["counts"] == {"calls": 1}
