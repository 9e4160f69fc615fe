"""Every date has one class: shipped days, official notices, days entered by hand, and what was known earlier."""

import io
import json
from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from billing_platform import clock, dashboard, metrics
from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, Membership, OutboxEvent, Role
from rating import tariffs
from rating.caching.live import calendars
from rating.calendar import calendar_known_at, official_until, read_calendar, today_in_china, year_to_announce
from rating.calendar_alert import cards
from rating.calendar_edits import DayEntry, change_items, enter_days, notice_changes, read_notice
from rating.engine import price_call, single_deck_tariff
from rating.models import CalendarDay
from rating.tasks import watch_calendar_task
from rating.timetable import Calendar
from tests.rating.pricing import call, deck

pytestmark = pytest.mark.django_db

CALLER = Caller("person", name="alice")
MAKEUP_2026 = ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"]


def known():
    tariffs.refresh()
    return calendars.current()


def day_class(text):
    return known().day_class(date.fromisoformat(text))


def enter(text, day_class, **more):
    return enter_days([DayEntry(date.fromisoformat(text), day_class, "by hand", **more)], caller=CALLER)


def days_of(year):
    first = date(year, 1, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]


# --- what a new system knows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", MAKEUP_2026)
def test_people_work_on_the_make_up_days_of_2026(day):
    assert date.fromisoformat(day).isoweekday() > 5
    assert day_class(day) == "makeup_workday"


def test_2026_has_six_make_up_days_and_33_holidays():
    calendar = known()

    classes = Counter(calendar.day_class(day) for day in days_of(2026))

    assert classes == {"workday": 242, "makeup_workday": 6, "weekend": 84, "holiday": 33}
    assert not any(calendar.is_provisional(day) for day in days_of(2026))


def test_the_days_agree_with_the_library_in_every_year_it_knows():
    library = pytest.importorskip("chinese_calendar")
    calendar = known()

    for day in (date(2004, 1, 1) + timedelta(days=n) for n in range(8401)):
        rests = calendar.day_class(day) in {"weekend", "holiday"}
        assert rests == library.is_holiday(day), day
        assert not calendar.is_provisional(day)
    assert day == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2027-01-01", "holiday"), ("2027-02-05", "holiday"), ("2027-02-08", "holiday"), ("2027-02-09", "workday"),
        ("2027-04-05", "holiday"), ("2027-05-02", "holiday"), ("2027-05-03", "workday"), ("2027-06-09", "holiday"),
        ("2027-09-15", "holiday"), ("2027-10-03", "holiday"), ("2027-10-04", "workday"), ("2028-10-03", "holiday"),
        ("2030-09-12", "holiday"), ("2030-02-02", "holiday"), ("2031-10-01", "workday"), ("2031-10-04", "weekend"),
    ],
)  # fmt: skip
def test_later_years_have_the_days_that_the_law_names_and_are_provisional(day, expected):
    assert day_class(day) == expected
    assert known().is_provisional(date.fromisoformat(day))


def test_an_unannounced_year_has_thirteen_statutory_days():
    calendar = known()

    counts = [sum(calendar.day_class(day) == "holiday" for day in days_of(year)) for year in range(2027, 2032)]

    assert counts == [13, 12, 13, 13, 0]  # in 2028 Mid-Autumn is the third of October


def test_prices_of_unannounced_years_say_so():
    flags = [
        explained(at)["calendar_provisional"] for at in ("2026-10-10 10:00", "2027-03-03 10:00", "2045-03-03 10:00")
    ]

    assert flags == [False, True, True]
    assert explained("2026-10-10 10:00")["day_classes"] == {"2026-10-10": "makeup_workday"}


def explained(at):
    tariff = single_deck_tariff([deck({"band": "peak"}, {})], calendar=known())
    return price_call(call(at, 60), tariff).explanation()


# --- revisions --------------------------------------------------------------------------------------------------------


def test_a_change_is_a_new_revision_and_the_old_one_can_still_be_asked():
    before = known()
    first = enter("2026-10-12", "holiday", name_zh="台风")
    second = enter("2026-10-12", "workday")

    assert before.revision < first < second == known().revision
    day = date(2026, 10, 12)
    assert [read_calendar(revision).day_class(day) for revision in (before.revision, first, second)] == [
        "workday", "holiday", "workday",
    ]  # fmt: skip
    assert CalendarDay.objects.filter(date=day).count() == 2
    entry = AuditEntry.objects.filter(act="calendarday.enter").earliest("id")
    assert (entry.actor, entry.object_id, entry.before, entry.after) == (
        "person:alice", "2026-10-12", "workday", "holiday 台风",
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_what_was_known_at_an_instant():
    before = known()
    revision = enter("2026-10-12", "holiday")
    at = CalendarDay.objects.get(revision=revision).created_at
    noon = at - timedelta(microseconds=1)

    assert calendar_known_at(noon).revision == before.revision
    assert calendar_known_at(at).revision == revision
    assert calendar_known_at(noon).day_class(date(2026, 10, 12)) == "workday"
    seeded = calendar_known_at(datetime.fromisoformat("2020-01-01T00:00:00+08:00"))
    assert seeded.day_class(date(2026, 10, 10)) == "makeup_workday"


def test_days_are_added_and_never_changed():
    row = CalendarDay.objects.get(date="2026-10-10")

    for statement in ("UPDATE rating_calendarday SET day_class = 'weekend'", "DELETE FROM rating_calendarday"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{statement} WHERE id = %s", [row.pk])
    assert CalendarDay.objects.get(date="2026-10-10").day_class == "makeup_workday"


def test_one_day_of_a_later_year_does_not_make_the_year_official():
    enter("2035-05-05", "holiday")
    calendar = known()

    assert calendar.day_class(date(2035, 5, 5)) == "holiday"
    assert calendar.is_provisional(date(2035, 5, 7))
    assert not calendar.is_provisional(date(2026, 5, 5))
    pure = Calendar(days={date(2026, 10, 10): "makeup_workday"})
    assert (pure.is_provisional(date(2026, 3, 3)), pure.is_provisional(date(2027, 3, 3))) == (False, True)


# --- official notices -------------------------------------------------------------------------------------------------

NOTICE = """\
date,class,name_zh,name_en
2026-12-31,holiday,元旦,New Year's Day
2027-01-01,holiday,元旦,New Year's Day
2027-01-03,makeup_workday,元旦,New Year's Day
2027-02-05,holiday,春节,Spring Festival
2027-02-06,holiday,春节,Spring Festival
"""


@pytest.fixture
def november():
    """45 days before 2027, in the morning in China."""
    clock.set_test_instant(datetime.fromisoformat("2026-11-17T01:00:00+08:00"))
    yield
    clock.set_test_instant(None)


@pytest.fixture
def notice(tmp_path):
    path = tmp_path / "2027.csv"
    path.write_text(NOTICE, encoding="utf-8")
    return str(path)


def run(*arguments, exits=0):
    out = io.StringIO()
    if exits:
        with pytest.raises(SystemExit) as ended:
            call_command(*arguments, "--format", "json", stdout=out, stderr=io.StringIO())
        assert ended.value.code == exits
    else:
        call_command(*arguments, "--format", "json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


def test_a_notice_is_looked_at_first_and_loaded_then(notice):
    before = CalendarDay.objects.count()

    dry = run("calendar_import", "2027", notice)

    assert (dry["dry_run"], CalendarDay.objects.count()) == (True, before)
    changed = {item["date"]: (item["before"], item["after"]) for item in dry["items"] if "date" in item}
    assert changed["2026-12-31"] == ("workday", "holiday 元旦 / New Year's Day")
    assert changed["2027-05-01"] == ("holiday 劳动节 / Labour Day (provisional)", "weekend")
    assert dry["counts"] == {"read": 5, "changed": len(changed)}
    assert len(changed) == 2 + 13  # New Year's Eve, a make-up day, and every day that the law had named

    told = run("calendar_import", "2027", notice, "--apply")

    calendar = known()
    assert told["items"][-1] == {"revision": calendar.revision}
    assert [calendar.day_class(date(2027, 1, day)) for day in (1, 2, 3)] == ["holiday", "weekend", "makeup_workday"]
    assert calendar.day_class(date(2026, 12, 31)) == "holiday"
    assert calendar.day_class(date(2027, 5, 1)) == "weekend"
    assert not any(calendar.is_provisional(day) for day in days_of(2027))
    assert calendar.is_provisional(date(2028, 1, 1))
    assert run("calendar_import", "2027", notice, "--apply")["counts"]["changed"] == 0


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("2028-01-01,holiday,,", "E_DATE"), ("2026-11-30,holiday,,", "E_DATE"), ("01/02/2027,holiday,,", "E_DATE"),
        ("2027-01-04,makeup_workday,,", "E_REF"), ("2027-02-01,feast,,", "E_REF"), ("2027-01-01,weekend,,", "E_REF"),
        ("2027-02-05,weekend,,", "E_DUPLICATE"), ("2027-02-07,holiday", "E_COLUMNS"),
        (f"2027-02-07,holiday,{'长' * 41},", "E_LIMIT"),
    ],
)  # fmt: skip
def test_a_notice_with_a_fault_loads_nothing(notice, row, code):
    before = CalendarDay.objects.count()
    text = NOTICE.replace("2027-01-01,holiday,元旦,New Year's Day\n", "") if "01-01,weekend" in row else NOTICE
    with open(notice, "w", encoding="utf-8") as file:
        file.write(text + row + "\n")

    told = run("calendar_import", "2027", notice, "--apply", exits=3)

    assert [error["code"] for error in told["errors"]] == [code]
    assert CalendarDay.objects.count() == before


def test_a_notice_without_new_year_is_none():
    assert read_notice(["date,class\n", "2027-02-05,holiday\n"], year=2027)[1][0].code == "E_REF"
    assert run("calendar_import", "2027", "/nowhere.csv", exits=2)["errors"][0]["code"] == "malformed"


def test_changed_days_that_lie_behind_name_the_months_to_look_at():
    changes = notice_changes(2026, [DayEntry(date(2026, 1, 1), "holiday", "notice 2026", "元旦", "New Year's Day")])

    items = change_items(changes, today=date(2026, 3, 31))

    assert [item["calls_concerned"] for item in items if "calls_concerned" in item] == [
        "manage.py rerate --period 2026-01", "manage.py rerate --period 2026-02",
    ]  # fmt: skip


def test_shipped_days_load_again_where_nobody_entered_others():
    enter("2027-02-05", "workday")
    changed = DayEntry(date(2027, 2, 6), "workday", "statutory", provisional=True)
    enter_days([changed], caller=CALLER)

    told = run("calendar_seed", "--apply")

    assert told["counts"] == {"changed": 1, "kept": 1}
    assert (day_class("2027-02-05"), day_class("2027-02-06")) == ("workday", "holiday")
    assert run("calendar_seed")["counts"] == {"changed": 0, "kept": 1}


# --- the alert --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "year", "until"),
    [
        ("2026-11-16", None, "2027-01-01"), ("2026-11-17", 2027, "2027-01-01"), ("2026-12-31", 2027, "2027-01-01"),
        ("2027-03-01", 2027, "2027-03-01"), ("2026-01-01", None, "2027-01-01"),
    ],
)  # fmt: skip
def test_a_missing_notice_is_due_45_days_before_the_year(today, year, until):
    day = date.fromisoformat(today)

    assert year_to_announce(known(), day) == year
    assert official_until(known(), day).isoformat() == until


def test_who_watches_is_told_until_the_notice_is_loaded(november, notice):
    admin = Caller("person", name="rita", roles=frozenset({"rate_admin"}))
    tariffs.refresh()

    watch_calendar_task()

    event = OutboxEvent.objects.get(topic="rating.calendar_provisional")
    assert (event.subject, event.payload) == ("2027", {"year": 2027, "begins": "2027-01-01", "days_left": 45})
    assert metrics.calendar_official._value.get() == 45
    (card,) = cards(admin)
    assert isinstance(card, dashboard.Card)
    assert (card.key, card.value, card.alarm) == ("calendar", "2027-01-01", True)
    assert cards(Caller("person", name="anna", roles=frozenset({"agent"}))) == []

    run("calendar_import", "2027", notice, "--apply")
    tariffs.refresh()
    watch_calendar_task()

    assert OutboxEvent.objects.filter(topic="rating.calendar_provisional").count() == 1
    (card,) = cards(admin)
    assert (card.value, card.alarm) == ("2028-01-01", False)
    assert today_in_china() == date(2026, 11, 17)


# --- the admin --------------------------------------------------------------------------------------------------------


@pytest.fixture
def rate_admin(client):
    person = get_user_model().objects.create(username="rita", is_staff=True)
    Membership.objects.create(user=person, organization="demo", role=Role.RATE_ADMIN)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_an_edit_in_the_admin_is_a_new_revision(rate_admin):
    row = CalendarDay.objects.get(date="2026-10-10")
    page = reverse("admin:rating_calendarday_change", args=[row.pk])
    form = {"day_class": "weekend", "name_zh": "取消调休", "name_en": "", "provisional": ""}

    answer = rate_admin.post(page, form)

    assert answer.status_code == 302, answer.content
    assert day_class("2026-10-10") == "weekend"
    rows = CalendarDay.objects.filter(date="2026-10-10").order_by("revision")
    assert [(one.day_class, one.source) for one in rows] == [
        ("makeup_workday", "chinesecalendar"),
        ("weekend", "by hand"),
    ]
    assert AuditEntry.objects.filter(act="calendarday.enter", object_id="2026-10-10").count() == 1
    listed = rate_admin.get(reverse("admin:rating_calendarday_changelist"), {"date__year": 2026, "date__month": 10})
    assert listed.status_code == 200
    assert listed.content.decode().count("Oct. 10, 2026") + listed.content.decode().count("2026年10月10日") == 1
    assert rate_admin.post(reverse("admin:rating_calendarday_delete", args=[row.pk])).status_code in {302, 403, 404}
    added = {"date": "2031-10-01", "day_class": "holiday", "name_zh": "国庆节", "provisional": "on"}
    assert rate_admin.post(reverse("admin:rating_calendarday_add"), added).status_code == 302
    assert day_class("2031-10-01") == "holiday"
