import io
import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse

from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, Membership, Role
from rating import tariffs
from rating.assignments import assign_deck
from rating.call import Call
from rating.engine import dearest
from rating.errors import DeckUnknown, ImportRefused, PlanHeadFixed, PlanNotIsolated, PlanUnreadable
from rating.explain import explain
from rating.formats import cgrates
from rating.importing import plans
from rating.models import Deck, DeckVersion, Rate, RateEnd, TariffPlan, TariffProfile, TimeBand
from rating.proposals import approve_version
from tests.queries import Asked
from tests.rating.deck_files import FINANCE, assign, make_deck
from tests.rating.plan_oracle import Plan

pytestmark = pytest.mark.django_db

RETAIL = Path(__file__).parents[1] / "payloads" / "plans" / "retail"
QUESTIONS = RETAIL.with_suffix(".questions.jsonl")
BERLIN = ("--zone", "Europe/Berlin", "--currency", "EUR")
CALLER = Caller("command", "test")
SMALL = {
    "Destinations.csv": "DE,+49\n",
    "Rates.csv": "RT,0,0.6,60s,1s,0s\n",
    "DestinationRates.csv": "DR,DE,RT,*up,4,0,\n",
    "RatingPlans.csv": "RP,DR,*any,10\n",
    "RatingProfiles.csv": "demo,call,*any,,RP,\n",
}
CALL = {
    "plan": "small", "tenant": "demo", "destination": "+4930123", "duration": "10s",
    "answer_time": "2026-05-05T12:00:00Z",
}  # fmt: skip


def run(*arguments):
    """(exit code, the envelope)."""
    out = io.StringIO()
    try:
        call_command("tariff_plan_import", *arguments, "--format", "cgrates", "--format", "json", stdout=out)
    except SystemExit as stopped:
        return stopped.code, json.loads(out.getvalue())
    finally:
        tariffs.refresh()
    return 0, json.loads(out.getvalue())


def folder_of(**changes):
    """The small folder's files, some of them other, without those that are None. Names without `.csv`."""
    files = {**SMALL, **{f"{name}.csv": text for name, text in changes.items()}}
    return cgrates.parse({name: text.encode() for name, text in files.items() if text is not None})


def load(plan="small", *, order=None, **changes):
    """Make a plan of the small folder, changed."""
    order, folder = order or plans.PlanOrder(plan=plan), folder_of(**changes)
    confirm = plans.preview_plan(folder, order, caller=CALLER).token if order.replaces_live else ""
    receipt = plans.apply_plan(folder, order, caller=CALLER, confirm=confirm)
    tariffs.refresh()
    return receipt


def amount(**changes):
    """The amount of a call by plan `small`, or the error's code."""
    answer = explain({**CALL, **changes})
    return answer["amount"] or answer["error"]["code"]


def state():
    """Everything that an import may write, as numbers of rows."""
    return [model.objects.count() for model in (TariffPlan, Deck, DeckVersion, Rate, RateEnd, TimeBand, TariffProfile)]


@pytest.fixture
def copied(tmp_path):
    """The retail folder where a test may change it."""
    return Path(shutil.copytree(RETAIL, tmp_path / "retail"))


def ask(lines):
    """What `rate_explain --input -` answers."""
    out = io.StringIO()
    call_command("rate_explain", "--input", "-", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_two_hundred_questions_are_answered_as_the_files_read(monkeypatch):
    code, told = run(str(RETAIL), *BERLIN, "--apply")
    assert (code, told["items"][0]["result"]) == (0, "replaced")
    lines = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    expected = {line["ref"]: line.pop("expected") for line in lines}
    oracle = Plan(RETAIL, "Europe/Berlin")
    assert {line["ref"]: oracle.answer(line) for line in lines} == {
        ref: told.get("error") or tuple(told.values()) for ref, told in expected.items()
    }
    asked = "".join(json.dumps({"plan": "retail", **line}) + "\n" for line in lines)
    monkeypatch.setattr("sys.stdin", io.StringIO(asked))

    answers = ask(lines)

    assert len(answers) == 200
    for answer in answers:
        winner, error = answer["winner"], answer["error"]
        given = {"error": error["code"]} if error else {
            "amount": answer["amount"], **{name: winner[name] for name in ("deck", "prefix", "subject")}
        }  # fmt: skip
        assert {"ref": answer["ref"], **given} == {"ref": answer["ref"], **expected[answer["ref"]]}
        assert answer["currency"] == "EUR" or error["code"] == "no_tariff"


# By hand; Berlin is an hour ahead of UTC in winter, two in summer.
BY_HAND = [
    # Monday 07:59:57: the night's minute is paid as it began, 0.05 + 0.06; then peak from position 60: 1 x 6 s.
    ("*any", "+4969123456", "2026-03-02T06:59:57Z", "61s", "0.1200"),
    # Eight o'clock sharp is peak: 0.05 + 0.12 + 2 x 0.01.
    ("*any", "+4969123456", "2026-03-02T07:00:00Z", "70s", "0.1900"),
    # Mobile by day: 0.10 + 6 x 0.12 + 0.03, up to 2 decimals.
    ("*any", "+4915112345678", "2026-03-02T12:00:00Z", "181s", "0.85"),
    # The same for an hour: at most 1.50.
    ("*any", "+4917012345678", "2026-03-02T12:00:00Z", "1h", "1.50"),
    # In the evening `disconnect` leaves the price alone: 0.82 + 342 x 0.03.
    ("*any", "+4915112345678", "2026-03-02T18:00:00Z", "1h", "11.080"),
    # Sunday: the weekend's +49 at 0.0005 a second until noon, then the city's +4930 at 0.02 a minute: 12 and 8 seconds.
    ("*any", "+4930123456", "2026-03-08T10:59:48Z", "20s", "0.0087"),
    # Christmas weighs more than peak and is free.
    ("*any", "+4969123456", "2026-12-24T10:00:00Z", "10m", "0.0000"),
    # 26 December 23:58 is a Saturday; 120 free seconds, then Sunday at 0.0005 a second.
    ("*any", "+4969123456", "2026-12-26T22:58:00Z", "3m", "0.0300"),
    # Nowhere else: the world, by the fallback; two begun minutes.
    ("*any", "+8613800138000", "2026-03-02T12:00:00Z", "61s", "2.0000"),
    # 0.30 a minute for 90 s, then 0.20 in steps of 15 s: 0.45 + 0.05.
    ("us", "+12125550100", "2026-03-02T12:00:00Z", "91s", "0.50000"),
    # 0.01 + 2 x 0.10 + 5 x 0.007: two units in one rate.
    ("us", "+14155550100", "2026-03-02T12:00:00Z", "25s", "0.24500"),
    # In June the business plan, which has no +41, nor have those after it but the world: a begun minute.
    ("1001", "+41791234567", "2026-06-30T21:59:30Z", "31s", "1.1000"),
    # Berlin stands in two Ids of one weight and band: the cheaper first second counts, 0.02 + 60 x 0.02 / 60.
    ("1001", "+4930123456", "2026-03-02T12:00:00Z", "60s", "0.040000"),
    # From 1 July on the Swiss plan: 5 x 7 s at 0.07777777 a minute, down: 0.04537036...
    ("1001", "+41791234567", "2026-06-30T22:00:00Z", "31s", "0.0453"),
]


@pytest.mark.parametrize(("subject", "number", "at", "duration", "expected"), BY_HAND)
def test_worked_by_hand(subject, number, at, duration, expected):
    run(str(RETAIL), *BERLIN, "--apply")
    whose = {"plan": "retail", "tenant": "acme.example", "subject": subject}

    answer = explain({**whose, "destination": number, "answer_time": at, "duration": duration})

    assert answer["amount"] == expected


def test_a_dry_run_counts_and_leaves_nothing():
    before = state()

    code, told = run(str(RETAIL), *BERLIN)

    assert (code, told["dry_run"], told["items"][0]["result"]) == (0, True, "would be replaced")
    assert told["counts"] == {
        "Destinations": 19, "Timings": 9, "Rates": 22, "DestinationRates": 23, "RatingPlans": 21, "RatingProfiles": 11,
        "error": 0, "decks": 7, "rows": 47, "versions": 7,
        "profiles_created": 11, "profiles_removed": 0, "profiles_same": 0,
    }  # fmt: skip
    assert [item["warning"]["code"] for item in told["items"] if "warning" in item] == [
        "W_REDEFINED", "W_UNIT_ZERO", "W_ROUNDING",
    ]  # fmt: skip
    assert state() == before


def test_the_same_folder_again_is_nothing_to_do(copied):
    run(str(copied), *BERLIN, "--apply")
    before = state()
    (copied / "Rates.csv").write_text("# only a remark\n" + (copied / "Rates.csv").read_text())

    code, told = run(str(copied), *BERLIN, "--apply")

    assert (code, told["items"][0]["result"], told["counts"]["versions"]) == (0, "nothing to do", 0)
    assert (state(), told["counts"]["profiles_same"]) == (before, 11)


def test_a_changed_folder_replaces_the_plan_as_a_whole_for_every_instant(copied):
    run(str(copied), *BERLIN, "--apply")
    rates, profiles = copied / "Rates.csv", copied / "RatingProfiles.csv"
    rates.write_text(rates.read_text().replace("RT_WORLD,0.2,0.9", "RT_WORLD,0.2,0.8"))
    profiles.write_text(profiles.read_text().replace("beta.example,call,2001", "beta.example,call,2002"))
    question = {
        "plan": "retail", "tenant": "acme.example", "destination": "+81", "duration": "1s",
        "answer_time": "2019-01-01T00:00:00Z",
    }  # fmt: skip
    assert explain(question)["amount"] == "1.1000"

    code, told = run(str(copied), *BERLIN, "--apply")

    made = [(item["deck"], item["version"]) for item in told["items"] if "deck" in item]
    assert (code, made) == (0, [("retail/RP_BUSINESS", 2), ("retail/RP_WORLD", 2)])
    counts = told["counts"]
    assert [counts[f"profiles_{name}"] for name in ("created", "removed", "same")] == [1, 1, 10]
    assert explain(question)["amount"] == "1.0000"
    beta = {**question, "tenant": "beta.example"}
    assert explain({**beta, "subject": "2001"})["error"]["code"] == "no_tariff"
    assert explain({**beta, "subject": "2002"})["error"]["code"] == "no_rate"  # active from June 2026
    entry = AuditEntry.objects.filter(act="tariff_plan.replace").latest("id")
    assert entry.before["sha256"] != entry.after["sha256"] == TariffPlan.objects.get(code="retail").sha256


def test_a_version_stores_only_what_is_new():
    load(Destinations="DE,+49\nAT,+43\n", DestinationRates="DR,DE,RT,*up,4,0,\nDR,AT,RT,*up,4,0,\n")
    load(Destinations="DE,+49\nAT,+43\nAT,+41\n", DestinationRates="DR,DE,RT,*up,4,0,\nDR,AT,RT,*up,4,0,\n")

    rows = Rate.objects.order_by("id").values_list("prefix", "valid_from_version", "valid_to_version")

    assert list(rows) == [("+43", 1, None), ("+49", 1, None), ("+41", 2, None)]


def test_rows_that_compete_by_price_alone_survive_a_replacement():
    both = "DR,DE,RT,*up,4,0,\nDR,DE,RT2,*up,4,0,\n"
    rates = "RT,0,0.6,60s,1s,0s\nRT2,0,0.3,60s,1s,0s\n"
    load(DestinationRates=both, Rates=rates)
    assert amount() == "0.0500"

    receipt = load(DestinationRates=both + "DR,*any,RT,*up,4,0,\n", Rates=rates)

    assert (amount(), amount(destination="1"), receipt.versions[0].rows) == ("0.0500", "0.1000", 3)


def test_a_folder_with_only_destinations_loads_and_answers_no_tariff(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "Destinations.csv").write_text("DE,+49\n")
    (folder / "Rates.csv").write_text("")

    code, told = run(str(folder), "--apply")

    assert (code, told["items"][0]["result"]) == (0, "replaced")
    assert [item["warning"]["file"] for item in told["items"] if "warning" in item] == [
        "Timings.csv", "Rates.csv", "DestinationRates.csv", "RatingPlans.csv", "RatingProfiles.csv",
    ]  # fmt: skip
    assert amount(plan="bare") == amount(plan="bare", tenant=None) == "no_tariff"
    assert run(str(folder), "--apply")[1]["items"][0]["result"] == "nothing to do"


def test_a_reference_to_nothing_is_named_by_file_and_line(copied):
    plan = copied / "RatingPlans.csv"
    plan.write_text(plan.read_text() + "RP_RETAIL,DR_MOON,*any,10\n")
    before = state()

    code, told = run(str(copied))
    assert code == 3
    assert [(error["code"], error["ref"]) for error in told["errors"]] == [
        ("E_REF", "RatingPlans.csv line 23 DestinationRatesId")
    ]
    code, told = run(str(copied), "--apply")

    assert (code, told["errors"][0]["code"], state()) == (2, "import_refused", before)
    with pytest.raises(ImportRefused) as refused:
        load(RatingPlans="RP,DR,NOON,10\n")
    (error,) = refused.value.fields["errors"]
    assert (error["file"], error["line"], error["value"], error["code"]) == ("RatingPlans.csv", 1, "NOON", "E_REF")


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("Destinations", "DE\n", (1, "", "E_COLUMNS")),
        ("Destinations", 'DE,"+49\n', (1, "", "E_COLUMNS")),
        ("Destinations", "# Id\n\nDE,+49\nDE,\n", (4, "Prefix", "E_PREFIX")),
        ("Destinations", f"DE,+49\nDE,{'1' * 41}\n", (2, "Prefix", "E_PREFIX")),
        ("Destinations", "DE,+49\n*any,+43\n", (2, "Id", "E_DUPLICATE")),
        ("Destinations", "DE,+49\n,+43\n", (2, "Id", "E_REF")),
        ("Destinations", "DE,+49\nD\\N,\\N\n", (2, "Id", "E_REF")),
        ("Timings", "T,*any,13,*any,*any,00:00:00\n", (1, "Months", "E_BAND")),
        ("Timings", "T,*any,*any,*any,8,00:00:00\n", (1, "WeekDays", "E_BAND")),
        ("Timings", "T,*any,*any,*any,*any,24:00:00\n", (1, "Time", "E_BAND")),
        ("Timings", "T,*any,*any,*any,*any,8:00\n", (1, "Time", "E_BAND")),
        ("Timings", "*any,*any,*any,*any,1,00:00:00\n", (1, "Id", "E_DUPLICATE")),
        ("Rates", "RT,0,,60s,1s,0s\n", (1, "Rate", "E_BLANK_RATE")),
        ("Rates", "RT,0,-1,60s,1s,0s\n", (1, "Rate", "E_NEGATIVE")),
        ("Rates", "RT,0,0.123456789,60s,1s,0s\n", (1, "Rate", "E_DECIMALS")),
        ("Rates", "RT,0,1,0s,1s,0s\n", (1, "RateUnit", "E_UNIT")),
        ("Rates", "RT,0,1,one,1s,0s\n", (1, "RateUnit", "E_UNIT")),
        ("Rates", "RT,0,1,60s,0,0s\n", (1, "RateIncrement", "E_INCREMENT")),
        ("Rates", "RT,0,1,60s,1.5,0s\n", (1, "RateIncrement", "E_INCREMENT")),
        ("Rates", "RT,0,1,60s,1s,1s\n", (1, "GroupIntervalStart", "E_TIER")),
        ("Rates", "RT,0,1,60s,60s,0s\nRT,0,1,60s,1s,30s\n", (2, "GroupIntervalStart", "E_TIER")),
        ("Rates", "RT,0,1,60s,1s,0s\nRT,0,2,60s,1s,0\n", (2, "GroupIntervalStart", "E_TIER")),
        ("Rates", "RT,0,1,744h,1s,0s\n", (1, "RateUnit", "E_LIMIT")),
        ("DestinationRates", "DR,DE,RT,*half,4,0,\n", (1, "RoundingMethod", "E_ROUNDING")),
        ("DestinationRates", "DR,DE,RT,*up,21,0,\n", (1, "RoundingDecimals", "E_ROUNDING")),
        ("DestinationRates", "DR,DE,RT,*up,4,1,\n", (1, "MaxCostStrategy", "E_CAP")),
        ("DestinationRates", "DR,MOON,RT,*up,4,0,\n", (1, "DestinationId", "E_REF")),
        ("DestinationRates", "DR,DE,RT9,*up,4,0,\n", (1, "RatesTag", "E_REF")),
        ("RatingPlans", "RP,DR,*any,-1\n", (1, "Weight", "E_NEGATIVE")),
        ("RatingPlans", f"{'R' * 65},DR,*any,1\n", (1, "Id", "E_LIMIT")),
        ("RatingProfiles", "demo,call,*any,,RP9,\n", (1, "RatingPlanId", "E_REF")),
        ("RatingProfiles", "demo,call,*any,2026-01-01T00:00:00,RP,\n", (1, "ActivationTime", "E_DATE")),
        ("RatingProfiles", "demo,call,*any,2026-13-01T00:00:00Z,RP,\n", (1, "ActivationTime", "E_DATE")),
        ("RatingProfiles", "demo,call,*any,,RP,a\ndemo,call,*any,,RP,b\n", (2, "Subject", "E_DUPLICATE")),
    ],
)
def test_faults_are_named(file, text, fault):
    errors = folder_of(**{file: text}).errors

    assert (f"{file}.csv", *fault) in [(one.file, one.line, one.column, one.code) for one in errors]


def test_a_file_that_is_no_text_is_refused():
    folder = cgrates.parse({**{name: text.encode() for name, text in SMALL.items()}, "Rates.csv": b"RT,0,\xff"})

    assert (folder.errors[0].file, folder.errors[0].value, folder.errors[0].code) == (
        "Rates.csv",
        "byte 5",
        "E_ENCODING",
    )


def test_what_has_no_place_is_named():
    folder = folder_of(
        AccountActions="a,b\n", Rates="RT,0,0.6,60s,1s,0s\nRT,0.2,0.3,60s,1s,60s\n", Destinations="DE,+49\n" * 2
    )

    assert [(one.file, one.line, one.code) for one in folder.warnings] == [
        ("Destinations.csv", 2, "W_REDEFINED"),
        ("Timings.csv", 0, "W_FILE_EMPTY"),
        ("Rates.csv", 2, "W_UNMAPPED"),
        ("AccountActions.csv", 0, "W_UNMAPPED"),
    ]


def test_windows_line_ends_a_byte_order_mark_and_blanks_change_nothing():
    told = {name: ("\ufeff" + text.replace(",", " , ").replace("\n", "\r\n")).encode() for name, text in SMALL.items()}

    plans.apply_plan(cgrates.parse(told), plans.PlanOrder(plan="small"), caller=CALLER)
    tariffs.refresh()

    assert amount() == "0.1000"
    assert not load().is_changed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", "60"), ("1m", "60"), ("1h30m", "5400"), ("1.5s", "1.5"), ("250ms", "0.25"), ("1024", "0.000001024")],
)
def test_durations_are_read_to_the_nanosecond(text, seconds):
    (one,) = folder_of(Rates=f"RT,0,1,{text},{text},0\n").destination_rates["DR"]

    assert (one.terms.rate_unit, one.terms.next_increment) == (Decimal(seconds), Decimal(seconds))


def test_a_rate_prices_calls_data_and_messages_alike_in_base_units():
    load(Rates="RT,0,0.5,1024,1024,0\n", DestinationRates="DR,*any,RT,*up,7,0,\n")

    assert amount(kind="data", units=1025) == "1.0000000"
    assert amount(kind="sms", units=1024) == "0.5000000"
    assert amount(duration="0.000001025") == "1.0000000"  # 1,025 ns
    assert amount(kind="data", duration="0.000001025") == "1.0000000"  # as many seconds' worth of base units


def test_a_duration_of_data_counts_as_many_base_units():
    load(Rates="RT,0,0.6,60s,10s,0s\n")

    assert amount(kind="data", duration="25s") == amount(duration="25s") == "0.3000"
    assert amount(kind="sms", units=25 * 10**9) == "0.3000"


def test_a_band_yields_at_equal_weight_to_one_that_began_later():
    timings = "ALL,*any,*any,*any,*any,00:00:00\nNOON,*any,*any,*any,*any,12:00:00\n"
    load(
        Timings=timings,
        Rates="RT,0,0.6,60s,1s,0s\nRT2,0,1.2,60s,1s,0s\n",
        DestinationRates="DR,DE,RT,*up,4,0,\nDR2,DE,RT2,*up,4,0,\n",
        RatingPlans="RP,DR,*any,10\nRP,DR2,NOON,10\n",
    )

    assert amount(answer_time="2026-05-05T11:59:55Z") == "0.1500"
    assert amount(answer_time="2026-05-05T12:00:00Z") == "0.2000"
    assert amount(answer_time="2026-05-05T23:59:55Z") == "0.1500"


def test_bands_are_judged_in_the_zone_given():
    order = plans.PlanOrder(plan="small", zone="America/New_York")
    load(order=order, Timings="NOON,*any,*any,*any,*any,12:00:00\n", RatingPlans="RP,DR,NOON,10\n")

    assert amount(answer_time="2026-05-05T15:59:59Z") == "band_gap"
    assert amount(answer_time="2026-05-05T16:00:00Z") == "0.1000"


def test_plans_know_nothing_of_each_other_nor_of_live_prices():
    make_deck("live", "13,0.30,60,60")
    assign("live", category="call", fallback=("*any",))
    load()
    load("other", Rates="RT,0,1.2,60s,1s,0s\n")
    live = {"tenant": "demo", "destination": "13800138000", "answer_time": CALL["answer_time"]}

    assert (amount(), amount(plan="other"), explain(live)["amount"]) == ("0.1000", "0.2000", "0.3000")
    assert explain({**live, "destination": "+4930123"})["error"]["code"] == "no_rate"
    assert amount(plan="third") == "no_tariff"


def test_decks_that_another_plan_uses_are_not_replaced():
    load()
    assign("small/RP", category="call")
    before = state()

    with pytest.raises(PlanNotIsolated):
        load(Rates="RT,0,1.2,60s,1s,0s\n")

    assert (state(), amount()) == (before, "0.1000")


def test_a_deck_whose_name_is_taken_is_left_alone():
    Deck.objects.create(code="small/RP")

    with pytest.raises(PlanNotIsolated):
        load()

    assert not TariffProfile.objects.exists()


def test_the_live_plan_is_replaced_only_when_told(tmp_path):
    folder = tmp_path / "main"
    folder.mkdir()
    for name, text in SMALL.items():
        (folder / name).write_text(text)
    before = state()

    code, told = run(str(folder), "--apply")
    assert (code, told["errors"][0]["code"], state()) == (2, "plan_is_live", before)
    assert run(str(folder))[0] == 0
    code, told = run(str(folder), "--apply", "--replace")

    assert (code, told["items"][0]["result"], amount(plan="main")) == (0, "replaced", "0.1000")
    assert run(str(folder), "--apply")[1]["items"][0]["result"] == "nothing to do"


def test_a_live_plan_keeps_the_assignments_of_others_and_changes_ahead():
    order = plans.PlanOrder(plan="main", replaces_live=True)
    make_deck("live", "13,0.30,60,60")
    for subject in ("C1", "*any"):
        assign("live", category="call", subject=subject)
    load(order=order)
    assert sorted(TariffProfile.objects.values_list("subject", "family")) == [("*any", "main/RP"), ("C1", "live")]

    receipt = load(order=order, Rates="RT,0,1.2,60s,1s,0s\n", RatingProfiles="demo,call,C2,,RP,\n")

    assert receipt.versions[0].effective_from > DeckVersion.objects.get(pk=receipt.versions[0].version_id).published_at
    assert sorted(TariffProfile.objects.values_list("subject", "family")) == [("C1", "live"), ("C2", "main/RP")]
    assert amount(plan="main", subject="C2") == "0.1000"  # a past call keeps its price


LIVE = plans.PlanOrder(plan="main", replaces_live=True)
TEN = "".join(f"D{digit},+4{digit}\n" for digit in range(10))
RATED = "".join(f"DR,D{digit},RT{digit},*up,4,0,\n" for digit in range(10))


def rates_of_ten(**prices):
    """Rates.csv of ten destinations at 0.6 a minute, some at other prices."""
    return "".join(f"RT{digit},0,{prices.get(f'rt{digit}', '0.6')},60s,1s,0s\n" for digit in range(10))


def difference(receipt, deck="main/RP"):
    return {name: count for name, count in receipt.differences[deck].counts.items() if count}


@pytest.fixture
def main_folder(tmp_path):
    """The live plan as it stands, imported from a folder where a test may change it."""
    load(order=LIVE)
    folder = tmp_path / "main"
    folder.mkdir()
    for name, text in SMALL.items():
        (folder / name).write_text(text)
    return folder


def confirmation(folder):
    """The token that a dry run names."""
    (token,) = [item["confirm"] for item in run(str(folder), "--replace")[1]["items"] if "confirm" in item]
    return token


def everything():
    return [list(model.objects.order_by("pk").values()) for model in (DeckVersion, Rate, RateEnd, TariffProfile)]


def test_a_live_plan_passes_the_guard_rails_of_deck_files(main_folder):
    (main_folder / "Rates.csv").write_text("RT,0,1.2,60s,1s,0s\n")
    before = everything()

    code, seen = run(str(main_folder), "--replace")
    (rails,) = [item for item in seen["items"] if "guard_rails" in item]
    (deck,) = [item for item in seen["items"] if "deck" in item]
    assert (code, rails["guard_rails"], seen["items"][0]["result"]) == (0, ["average_rise"], "would be replaced")
    assert (seen["counts"]["raised"], seen["counts"]["created"], deck["average_change"]) == (1, 0, "+100.00 %")
    for token in ((), ("--confirm", "0" * 12)):
        code, told = run(str(main_folder), "--replace", "--apply", *token)
        assert (code, told["errors"][0]["code"], everything()) == (4, "guard_rail", before)
    code, told = run(str(main_folder), "--replace", "--apply", "--confirm", rails["confirm"])

    assert (code, told["items"][0]["result"], told["counts"]["versions"]) == (0, "replaced", 1)
    assert run(str(main_folder), "--replace", "--apply")[1]["items"][0]["result"] == "nothing to do"


def test_a_token_is_for_one_folder_alone(main_folder):
    (main_folder / "Rates.csv").write_text("RT,0,1.2,60s,1s,0s\n")
    token = confirmation(main_folder)
    (main_folder / "Rates.csv").write_text("RT,0,1.3,60s,1s,0s\n")

    assert run(str(main_folder), "--replace", "--apply", "--confirm", token)[0] == 4


def test_a_live_plan_counts_its_difference_as_a_deck_does():
    ten = {"Destinations": TEN, "DestinationRates": RATED}
    load(order=LIVE, **ten, Rates=rates_of_ten())
    changed = TEN.replace("D9,+49\n", "D9,+59\n")

    receipt = load(order=LIVE, **{**ten, "Destinations": changed}, Rates=rates_of_ten(rt0="0.66", rt1="0.3"))

    assert difference(receipt) == {"created": 1, "raised": 1, "lowered": 1, "same": 7, "removed": 1}
    assert receipt.differences["main/RP"].average == Decimal(-20)  # +10 % and -50 %
    assert (receipt.rails, receipt.versions[0].rows) == ((), 10)  # one of ten removed is not more than 10 %


def test_rows_that_compete_by_price_are_paired_by_price():
    both = "DR,DE,RT,*up,4,0,\nDR,DE,RT2,*up,4,0,\n"
    load(order=LIVE, DestinationRates=both, Rates="RT,0,0.6,60s,1s,0s\nRT2,0,0.3,60s,1s,0s\n")

    receipt = load(order=LIVE, DestinationRates=both, Rates="RT,0,0.61,60s,1s,0s\nRT2,0,0.29,60s,1s,0s\n")

    assert difference(receipt) == {"raised": 1, "lowered": 1}


def test_assignments_that_move_need_the_token_too(main_folder):
    (main_folder / "RatingPlans.csv").write_text("RP2,DR,*any,10\n")
    (main_folder / "RatingProfiles.csv").write_text("demo,call,*any,,RP2,\n")
    before = everything()

    code, told = run(str(main_folder), "--replace", "--apply")

    assert (code, told["errors"][0]["message"], everything()) == (
        4, f"assignments; repeat with --confirm {confirmation(main_folder)}", before,
    )  # fmt: skip
    assert load(order=LIVE, RatingPlans="RP2,DR,*any,10\n", RatingProfiles="demo,call,*any,,RP2,\n").is_changed
    assert list(TariffProfile.objects.values_list("family", flat=True)) == ["main/RP2"]


def test_other_hours_of_a_live_plan_change_ahead_not_back():
    load(order=LIVE, Timings="T,*any,*any,*any,*any,12:00:00\n", RatingPlans="RP,DR,T,10\n")

    receipt = load(order=LIVE, Timings="T,*any,*any,*any,*any,13:00:00\n", RatingPlans="RP,DR,T,10\n")

    version = DeckVersion.objects.get(pk=receipt.versions[0].version_id)
    assert (receipt.versions[0].number, version.effective_from > version.published_at) == (2, True)
    assert amount(plan="main", answer_time="2026-05-05T12:30:00Z") == "0.1000"


def test_many_changed_rows_of_a_live_plan_wait_for_a_second_person_with_its_assignments(main_folder, settings):
    two = {"RatingPlans": "RP,DR,*any,10\nRP2,DR,*any,10\n", "RatingProfiles": "demo,call,*any,,RP,\n"}
    load(order=LIVE, **two)
    settings.RATING_SECOND_PERSON_ROWS = 1  # two decks with a row each are two rows
    for name, text in {**two, "Rates": "RT,0,0.66,60s,1s,0s\n", "RatingProfiles": "demo,call,C1,,RP,\n"}.items():
        (main_folder / f"{name}.csv").write_text(text)
    token = confirmation(main_folder)
    applied = (str(main_folder), "--replace", "--apply", "--confirm", token)

    for _again in range(2):
        code, told = run(*applied)
        assert (code, told["errors"][0]["code"]) == (4, "approval_needed")
        assert told["items"][0]["result"] == "waits for a second person"
    proposals = DeckVersion.objects.filter(state="proposed").order_by("pk")
    assert [one.deck.code for one in proposals] == ["main/RP", "main/RP2"]
    assert [item["approve"] for item in told["items"] if "approve" in item] == [
        reverse("admin:rating_deckversion_change", args=[one.pk]) for one in proposals
    ]
    assert (list(TariffProfile.objects.values_list("subject", flat=True)), amount(plan="main")) == (["*any"], "0.1000")
    for proposal in proposals:
        approve_version(proposal.pk, caller=FINANCE)
    token = confirmation(main_folder)
    code, told = run(str(main_folder), "--replace", "--apply", "--confirm", token)

    assert (code, told["items"][0]["result"], told["counts"]["versions"]) == (0, "replaced", 0)
    assert list(TariffProfile.objects.values_list("subject", "family")) == [("C1", "main/RP")]
    assert TariffPlan.objects.get(code="main").sha256 == told["items"][0]["sha256"]
    assert run(*applied)[1]["items"][0]["result"] == "nothing to do"


def test_a_plan_keeps_its_zone_and_currency():
    load()

    for order in (plans.PlanOrder(plan="small", zone="Asia/Tokyo"), plans.PlanOrder(plan="small", currency="EUR")):
        with pytest.raises(PlanHeadFixed):
            load(order=order)


@pytest.mark.parametrize("wrong", [{"plan": "a/b"}, {"plan": ""}, {"zone": "Mars"}, {"currency": "eur"}])
def test_orders_that_name_nothing_are_refused(wrong):
    with pytest.raises(PlanUnreadable):
        load(order=plans.PlanOrder(**{"plan": "small", **wrong}))


def test_the_dearest_price_of_a_call_goes_no_further_than_a_band_that_never_ends():
    load(
        Destinations="DE,+49\nMOBILE,+4915\n",
        Rates="RT,0,6,60s,1s,0s\nRT2,0,0.6,60s,1s,0s\n",
        DestinationRates="DR,DE,RT,*up,4,0,\nDR,MOBILE,RT2,*up,4,0,\n",
    )
    at = datetime(2026, 5, 5, tzinfo=UTC)
    tariff = tariffs.tariff_for(plan="small", tenant="demo", category="call", subject="C1", at=at)

    prices = [dearest(Call(None, at, 10 * 10**9, dialled=number), tariff).amount for number in ("+4915123", "+4930123")]

    assert prices == [Decimal("0.1000"), Decimal("1.0000")]


def test_nobody_is_charged_by_another_plan():
    load()

    with pytest.raises(DeckUnknown):
        assign_deck("small/RP", tenant="demo", category="call", subject="C1", active_from=None, fallback=[])


def test_people_see_plans_and_their_assignments_but_edit_only_live_ones(client):
    rita = get_user_model().objects.create(username="rita", is_staff=True)
    Membership.objects.create(user=rita, organization="demo", role=Role.RATE_ADMIN)
    client.force_login(rita, backend="django.contrib.auth.backends.ModelBackend")
    load()
    profile, live = TariffProfile.objects.get(), assign("small/RP", category="call")
    pages = [reverse("admin:rating_tariffprofile_change", args=[one.pk]) for one in (profile, live)]

    assert client.get(reverse("admin:rating_tariffplan_changelist")).status_code == 200
    assert client.get(reverse("admin:rating_tariffprofile_changelist")).status_code == 200
    assert ['name="_save"' in client.get(page).content.decode() for page in pages] == [False, True]
    assert client.post(pages[0], {"subject": "C1"}).status_code == 403
    assert TariffProfile.objects.get(pk=profile.pk).subject == "*any"


def test_usage_is_told(tmp_path, capsys):
    assert run(str(tmp_path / "nowhere"))[0] == 2
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("tariff_plan_import", str(RETAIL), stdout=out)
    assert "--format cgrates" in out.getvalue()


@pytest.mark.django_db(transaction=True)  # a database of its own: dead rows mislead the planner of later tests
def test_fifty_thousand_destinations_take_as_many_statements_as_one():
    prefixes = "".join(f"D{number % 40},+{10_000 + number}\n" for number in range(50_000))
    rates = "".join(f"DR,D{number},RT,*up,4,0,\n" for number in range(40))
    folder = folder_of(Destinations=prefixes, DestinationRates=rates)
    assert (folder.error, folder.rows) == (0, 50_000)

    with Asked() as one:
        load("one")
    with Asked() as many:
        receipt = plans.apply_plan(folder, plans.PlanOrder(plan="small"), caller=CALLER)
    tariffs.refresh()

    assert receipt.versions[0].rows == 50_000
    assert len(many) <= len(one) + 1  # statistics after many rows
    assert amount(destination="+599991") == "0.1000"
    assert not plans.preview_plan(folder, plans.PlanOrder(plan="small"), caller=CALLER).is_changed
