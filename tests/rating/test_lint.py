import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import translation

from billing_platform import clock
from rating import decks
from rating.caching.live import calendars
from rating.expected import keep_expectation
from rating.findings import KEPT_MAX, MESSAGES, TITLES, item_of
from rating.lint import find_faults
from rating.models import Carrier, Deck, DeckVersion, Rate
from rating.versions import rates_of
from tests.rating.deck_files import ADMIN, LONG_AGO, make_deck, publish

pytestmark = pytest.mark.django_db

COLUMNS = "prefix,rate,first_increment,next_increment"
BANDED = f"{COLUMNS},band"
AT = datetime(2026, 11, 20, 4, tzinfo=UTC)  # noon in Shanghai, a Friday
NIGHT, DAY = "#!band night from=00:00 to=06:00", "#!band day from=06:00 to=24:00"


def faults(code, *, number=None, at=AT):
    """code, prefix and what the messages need, of each finding."""
    version = decks.load_version(code, number) if number else decks.latest_version(decks.load_deck(code))
    found = find_faults(version, at)
    assert len(found.items) == min(found.total, KEPT_MAX)
    return [(one.code, one.prefix, dict(one.detail)) for one in found.items]


def add_by_hand(code, prefix, **changed):
    """A person's copy of a row beside it; a file would have taken over from the old one."""
    draft = decks.open_draft(decks.load_deck(code), caller=ADMIN)
    row = rates_of(draft).get(prefix=prefix)
    row.pk, row.valid_from_version, row._state.adding = None, draft.number, True
    for name, value in changed.items():
        setattr(row, name, value)
    row.save()
    decks.publish_draft(draft, publication=decks.Publication(), caller=ADMIN)


def test_an_orderly_deck_is_clean():
    lines = ("010,0.12,60,60,peak", "010,0.06,60,60,", "021,0.30,60,60,")
    make_deck("cn", "#!band peak from=09:00 to=18:00", *lines, columns=BANDED)

    assert faults("cn") == []


def test_a_gap_is_named_with_its_first_instant():
    make_deck("cn", NIGHT, "021,0.30,60,60,night", "0571,0.30,60,60,", columns=BANDED)

    assert faults("cn") == [("L_GAP", "021", {"at": "2026-11-20T12:00:00+08:00"})]
    assert faults("cn", at=AT + timedelta(hours=12)) == [("L_GAP", "021", {"at": "2026-11-21T06:00:00+08:00"})]


def test_bands_that_meet_leave_no_gap_and_a_shorter_prefix_fills_one():
    make_deck("met", NIGHT, DAY, "021,0.30,60,60,night", "021,0.60,60,60,day", columns=BANDED)
    make_deck("short", NIGHT, "02,0.50,60,60,", "021,0.30,60,60,night", columns=BANDED)

    assert faults("met") == []
    assert faults("short") == []


def test_a_gap_may_lie_months_ahead_or_be_one_carriers_alone():
    make_deck("year", "#!band old years=2026", "021,0.30,60,60,old", columns=BANDED)
    Carrier.objects.get_or_create(code="CMCC", defaults={"name_zh": "中国移动"})
    columns = f"{BANDED},carrier"
    make_deck("own", NIGHT, "13,0.10,60,60,night,", "13,0.20,60,60,,CMCC", columns=columns)

    assert faults("year") == [("L_GAP", "021", {"at": "2027-01-01T00:00:00+08:00"})]
    assert faults("own") == [("L_GAP", "13", {"at": "2026-11-20T12:00:00+08:00"})]


def test_a_period_that_ends_without_successor_is_a_gap():
    columns = f"{COLUMNS},effective_from,effective_to"
    ends, later = "2026-12-31T00:00:00+08:00", "2027-01-01T00:00:00+08:00"
    make_deck("gone", f"021,0.30,60,60,,{ends}", f"0571,0.10,60,60,{ends},", columns=columns)
    make_deck("hole", f"021,0.30,60,60,,{ends}", f"021,0.40,60,60,{later},", columns=columns)
    make_deck("heir", f"021,0.30,60,60,,{ends}", f"021,0.40,60,60,{ends},", columns=columns)

    assert faults("gone") == [("L_GAP", "021", {"at": ends})]
    assert faults("hole") == [("L_GAP", "021", {"at": ends})]
    assert faults("heir") == []


def test_rows_that_never_win():
    columns = f"{BANDED},priority"
    make_deck(
        "cn", NIGHT, "#!band old years=2020",
        "02,0.30,60,60,,", "021,0.30,60,60,,",  # the same terms on a longer prefix
        "0571,0.10,60,60,,50", "0571,0.20,60,60,night,",  # outweighed at every hour
        "0755,0.10,60,60,,", "0755,0.20,60,60,old,",  # a band that is over
        columns=columns,
    )  # fmt: skip

    found = find_faults(decks.load_version("cn", 1), AT)

    assert [(one.code, one.prefix, one.variant, dict(one.detail)) for one in found.items] == [
        ("L_SHADOW", "021", "same", {"other": "862"}),
        ("L_SHADOW", "0571", "covered", {"other": "0571"}),
        ("L_SHADOW", "0755", "never", {}),
    ]


def test_overlaps_and_ties():
    columns = f"{BANDED},priority,kind,effective_from,effective_to"
    make_deck(
        "cn", "#!band work days=workday from=09:00 to=18:00", "#!band monday weekdays=1 from=09:00 to=12:00",
        "#!band late weekdays=1 from=10:00 to=12:00",
        "010,0.1,60,60,,,,,",
        "021,0.1,60,60,,,,,", "021,0.2,60,60,work,,,,", "021,0.3,60,60,monday,,,,",  # begin together on Mondays
        "0571,0.1,60,60,,,,,", "0571,0.2,60,60,work,,,,", "0571,0.3,60,60,late,,,,",  # the later one wins
        "0755,0.1,60,60,,,,,", "0755,0.2,60,60,,,voice,,",
        columns=columns,
    )  # fmt: skip
    add_by_hand("cn", "010", rate="0.2", effective_from=datetime(2026, 12, 31, 16, tzinfo=UTC))

    found = [fault for fault in faults("cn") if fault[0] != "L_PROVISIONAL"]

    assert found == [
        ("L_OVERLAP", "010", {"other": "010"}),
        ("L_TIE", "021", {"other": "021 work"}),
        ("L_TIE", "0755", {"other": "0755"}),
    ]


def test_faults_of_single_rows():
    columns = f"{COLUMNS},first_rate,tiers,connect_fee,min_charge,cap,cap_kind,cost_rate,decimals,blocked"
    make_deck(
        "cn",
        "010,0.10,60,60,,,,,,,0.12,,", "020,0.10,60,60,,180:0.05,,,,,0.06,,", "021,0.10,60,60,,,,,,,0.12,,true",
        "022,0.10,60,60,,,,,1.23456,free,,,", "023,0.10,60,60,,,,,1.23456,free,,6,",
        "024,0.10,60,60,0.2,60:0.05,,,,,,,", "025,0.10,60,60,,60:0.05,,,,,,,",
        "027,0.10,60,60,,,,,,,,8,",
        columns=columns,
    )  # fmt: skip

    assert faults("cn") == [
        ("L_BELOW_COST", "010", {"price": "0.1", "cost": "0.12"}),
        ("L_BELOW_COST", "020", {"price": "0.05", "cost": "0.06"}),
        ("L_CAP", "022", {"cap": "1.23456"}),
        ("L_FIRST_TIER", "024", {"start": "60"}),
        ("L_DECIMALS", "027", {"decimals": "8"}),
    ]


def test_a_cap_below_the_minimum_is_found_where_no_file_was_read():
    make_deck("cn", "010,0.10,60,60")
    draft = decks.open_draft(Deck.objects.get(code="cn"), caller=ADMIN)
    Rate.objects.create(
        deck=draft.deck, valid_from_version=draft.number, prefix="021", key="8621", rate="0.1", min_charge="2",
        cap="1", cap_kind="free",
    )  # fmt: skip

    assert faults("cn", number=2) == [("L_CAP", "021", {"cap": "1"})]


def test_what_cannot_be_priced_is_a_finding_too():
    make_deck("cn", "010,0.10,60,60")
    draft = decks.open_draft(Deck.objects.get(code="cn"), caller=ADMIN)
    Rate.objects.create(
        deck=draft.deck, valid_from_version=draft.number, prefix="021", key="8621", rate="0.1", tiers="30:0.05"
    )

    assert [fault[:2] for fault in faults("cn", number=2)] == [("L_TERMS", ""), ("L_FIRST_TIER", "021")]


def test_a_rise_needs_the_notice_that_was_promised():
    make_deck("cn", "010,0.10,60,60", "021,0.10,60,60", notice_days=7)
    soon, late = clock.now() + timedelta(days=1), clock.now() + timedelta(days=8)
    publish("cn", "010,0.11,60,60", "021,0.09,60,60", effective_from=soon)
    publish("cn", "010,0.12,60,60", effective_from=late)

    assert faults("cn", number=2) == [("L_NOTICE", "010", {"before": "0.1", "after": "0.11", "days": "7"})]
    assert faults("cn", number=3) == []


def test_emergency_calls_are_free_or_blocked():
    make_deck("dear", ",0.10,60,60", "010,0.20,60,60")
    make_deck("good", ",0.10,60,60", "11,0,60,60", "12,blocked,60,60")
    make_deck("silent", "010,0.20,60,60")

    assert [(code, detail["number"]) for code, _, detail in faults("dear")] == [
        ("L_EMERGENCY", number) for number in ("110", "119", "120", "122")
    ]
    assert faults("good") == []
    assert faults("silent") == []


def test_bands_that_ask_for_days_nobody_has_confirmed():
    bands = "#!band work days=workday", "#!band then days=workday years=2040", "#!band hours from=09:00 to=18:00"
    rows = "010,0.1,60,60,", "010,0.2,60,60,work", "010,0.2,60,60,then", "010,0.3,60,60,hours"
    make_deck("cn", *bands, *rows, columns=f"{BANDED}")
    calendar = calendars.current()

    def provisional(at):
        return [detail for code, _, detail in faults("cn", at=at) if code == "L_PROVISIONAL"]

    (found,) = provisional(AT)
    day = date.fromisoformat(found["day"])
    before = [AT.date() + timedelta(days=ahead) for ahead in range((day - AT.date()).days)]
    assert (found["band"], calendar.is_provisional(day)) == ("work", True)
    assert not any(calendar.is_provisional(one) for one in before)
    assert provisional(datetime(2039, 12, 1, tzinfo=UTC)) == [
        {"band": "then", "day": "2040-01-01"}, {"band": "work", "day": "2039-12-01"},
    ]  # fmt: skip


def test_a_default_deck_has_a_price_for_everything(settings):
    settings.RATING_DEFAULT_DECK = "spare"
    make_deck("spare", "11,0,60,60", "12,0,60,60", "010,0.20,60,60")
    make_deck("spare-usd", "11,0,60,60", "12,0,60,60", ",0.20,60,60", currency="USD")

    assert faults("spare") == [("L_DEFAULT", "", {})]
    assert faults("spare-usd") == []


def test_a_test_case_that_a_version_answers_otherwise():
    make_deck("cn", "010,0.12,60,60")
    question = {"destination": "01060001234", "answer_time": "2026-11-20T12:00:00+08:00", "duration": "60"}
    keep_expectation("cn", question, name="Beijing, a minute", caller=ADMIN)
    publish("cn", "010,0.15,60,60")

    assert faults("cn", number=1) == []
    assert faults("cn", number=2) == [
        ("L_EXPECTED", "", {"name": "Beijing, a minute", "expected": "0.12", "got": "0.15"})
    ]


def test_all_are_counted_and_the_first_thousand_shown():
    make_deck("cn", "02,0.30,60,60", *(f"02{number},0.30,60,60" for number in range(1000, 2200)))

    found = find_faults(decks.load_version("cn", 1), AT)

    assert (found.total, found.counts["L_SHADOW"], len(found.items)) == (1200, 1200, KEPT_MAX)
    assert found.items[0].prefix == "021000"


def test_every_message_can_be_said_in_both_languages():
    make_deck("cn", NIGHT, "021,0.30,60,60,night", columns=BANDED)
    (finding,) = find_faults(decks.load_version("cn", 1), AT).items

    with translation.override("en"):
        assert finding.message == "No rate is active from 2026-11-20T12:00:00+08:00 on."
        english = [str(text) for text in (*TITLES.values(), *MESSAGES.values())]
    with translation.override("zh-hans"):
        assert finding.message == "从 2026-11-20T12:00:00+08:00 起没有生效的费率。"
        chinese = [str(text) for text in (*TITLES.values(), *MESSAGES.values())]
    assert [text for text, other in zip(english, chinese, strict=True) if text == other] == []
    assert item_of(finding)["code"] == "L_GAP"


def test_the_command_exits_with_3_when_it_finds_something():
    make_deck("bad", NIGHT, "021,0.30,60,60,night", columns=BANDED)
    make_deck("good", "021,0.30,60,60")
    make_deck("both", "021,0.30,60,60")
    publish("both", NIGHT, "0571,0.30,60,60,night", columns=BANDED, effective_from=clock.now() + timedelta(days=1))

    code, output = lint("bad", "--format", "json")
    said = json.loads(output)
    assert (code, said["counts"]["findings"], said["items"][0]["code"]) == (3, 1, "L_GAP")
    assert lint("good") == (0, "findings: 0\nrows: 1\n")
    assert (lint("both")[0], lint("both", "--version", "1")[0], lint("none")[0]) == (3, 0, 2)
    assert lint("bad")[1].startswith("L_GAP  021")


def test_nothing_is_written():
    make_deck("cn", NIGHT, "021,0.30,60,60,night", columns=BANDED)
    before = list(Rate.objects.values()), list(DeckVersion.objects.values())

    faults("cn")

    assert (list(Rate.objects.values()), list(DeckVersion.objects.values())) == before
    assert decks.load_version("cn", 1).effective_from == LONG_AGO


def lint(*arguments):
    out = io.StringIO()
    try:
        call_command("deck_lint", *arguments, stdout=out)
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()
