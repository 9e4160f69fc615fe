"""The calendar keeps its history, and the shipped tables of days and numbers are loaded.

A change of the calendar raises the topic's number before its rows go in, and they bear that number: a revision is what
had been entered up to it. Ported numbers have a topic of their own, so that a segment more does not read a million.
"""

from importlib import import_module

from django.db import migrations, models
from django.db.models.functions import Now

from rating.numbers.number_tables import SELECTION_PREFIXES, rows_of

ALLOCATED, SUPPLEMENT, STATUTORY, NOTICES = "phonenumbers", "supplement", "statutory", "chinesecalendar"

CALENDAR = """
DROP TRIGGER rating_calendarday_generation ON rating_calendarday;
CREATE TRIGGER rating_calendarday_generation BEFORE INSERT ON rating_calendarday FOR EACH STATEMENT
    EXECUTE FUNCTION rating_generation_raise('calendar');
CREATE FUNCTION rating_calendar_revision() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT number FROM rating_generation WHERE topic = 'calendar' $$;
"""
CALENDAR_BACK = """
DROP TRIGGER rating_calendarday_generation ON rating_calendarday;
CREATE TRIGGER rating_calendarday_generation AFTER INSERT OR UPDATE OR DELETE ON rating_calendarday FOR EACH STATEMENT
    EXECUTE FUNCTION rating_generation_raise('calendar');
DROP FUNCTION rating_calendar_revision();
"""

ADDED_ONLY = """
CREATE FUNCTION rating_calendar_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'calendar days are added, never changed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER rating_calendarday_keep BEFORE UPDATE OR DELETE ON rating_calendarday FOR EACH STATEMENT
    EXECUTE FUNCTION rating_calendar_keep();
"""
# What is taken back leaves one row a date, the last.
ADDED_ONLY_BACK = """
DROP TRIGGER rating_calendarday_keep ON rating_calendarday;
DROP FUNCTION rating_calendar_keep();
DELETE FROM rating_calendarday earlier USING rating_calendarday later
 WHERE later.country = earlier.country AND later.date = earlier.date AND later.revision > earlier.revision;
"""

SEGMENTS = """
INSERT INTO rating_generation (topic, number) VALUES ('ported', nextval('rating_generation_number'));
CREATE FUNCTION rating_segments_raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rating_generation SET number = nextval('rating_generation_number') WHERE topic = 'segments';
    IF EXISTS (SELECT FROM moved WHERE source = 'ported') THEN
        UPDATE rating_generation SET number = nextval('rating_generation_number') WHERE topic = 'ported';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER rating_numbersegment_generation ON rating_numbersegment;
CREATE TRIGGER rating_numbersegment_added AFTER INSERT ON rating_numbersegment
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_segments_raise();
CREATE TRIGGER rating_numbersegment_removed AFTER DELETE ON rating_numbersegment
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_segments_raise();
CREATE TRIGGER rating_numbersegment_before AFTER UPDATE ON rating_numbersegment
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_segments_raise();
CREATE TRIGGER rating_numbersegment_after AFTER UPDATE ON rating_numbersegment
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_segments_raise();
CREATE TRIGGER rating_selectionprefix_generation AFTER INSERT OR UPDATE OR DELETE ON rating_selectionprefix
    FOR EACH STATEMENT EXECUTE FUNCTION rating_generation_raise('segments');
"""
SEGMENTS_BACK = """
DROP TRIGGER rating_selectionprefix_generation ON rating_selectionprefix;
DROP TRIGGER rating_numbersegment_added ON rating_numbersegment;
DROP TRIGGER rating_numbersegment_removed ON rating_numbersegment;
DROP TRIGGER rating_numbersegment_before ON rating_numbersegment;
DROP TRIGGER rating_numbersegment_after ON rating_numbersegment;
CREATE TRIGGER rating_numbersegment_generation AFTER INSERT OR UPDATE OR DELETE ON rating_numbersegment
    FOR EACH STATEMENT EXECUTE FUNCTION rating_generation_raise('segments');
DROP FUNCTION rating_segments_raise();
DELETE FROM rating_generation WHERE topic = 'ported';
"""


def seed_numbers(apps, schema_editor):
    """The shipped segments take the place of the first ones; virtual operators name the network they use."""
    Carrier, NumberSegment = apps.get_model("rating", "Carrier"), apps.get_model("rating", "NumberSegment")
    carriers = {carrier.code: carrier for carrier in Carrier.objects.all()}
    for row in rows_of("carriers.csv"):
        names = {"name_zh": row["name_zh"], "name_en": row["name_en"], "parent": carriers.get(row["parent"])}
        carriers[row["code"]], _ = Carrier.objects.get_or_create(code=row["code"], defaults=names)
    NumberSegment.objects.filter(source=import_module("rating.migrations.0004_carriers").SOURCE).delete()
    NumberSegment.objects.bulk_create([
        NumberSegment(
            prefix=row["prefix"], carrier=carriers[row["carrier"]], kind=row.get("kind", "mobile"), source=source,
            confidence=confidence,
        )
        for name, source, confidence in (
            ("segments.csv", ALLOCATED, "high"), ("supplement.csv", SUPPLEMENT, "low"),
        )
        for row in rows_of(name)
    ])  # fmt: skip
    SelectionPrefix = apps.get_model("rating", "SelectionPrefix")
    SelectionPrefix.objects.bulk_create([SelectionPrefix(prefix=prefix) for prefix in SELECTION_PREFIXES])


def unseed_numbers(apps, schema_editor):
    schema_editor.execute("DELETE FROM rating_numbersegment WHERE source = ANY(%s)", [[ALLOCATED, SUPPLEMENT]])
    schema_editor.execute(
        "DELETE FROM rating_carrier c WHERE code = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM rating_deck d WHERE d.carrier_id = c.id)"
        " AND NOT EXISTS (SELECT FROM rating_numbersegment s WHERE s.carrier_id = c.id)"
        " AND NOT EXISTS (SELECT FROM rating_carrier v WHERE v.parent_id = c.id)",
        [[row["code"] for row in rows_of("carriers.csv") if row["parent"]]],
    )
    import_module("rating.migrations.0004_carriers").seed(apps, schema_editor)
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the table is altered in this transaction


def seed_days(apps, schema_editor):
    """Days that somebody entered before stay as they are."""
    CalendarDay = apps.get_model("rating", "CalendarDay")
    entered = {day.isoformat() for day in CalendarDay.objects.filter(country="CN").values_list("date", flat=True)}
    CalendarDay.objects.bulk_create([
        CalendarDay(
            date=row["date"], day_class=row["day_class"], name_zh=row["name_zh"], name_en=row["name_en"],
            provisional=bool(row["provisional"]), source=STATUTORY if row["provisional"] else NOTICES,
        )
        for row in rows_of("calendar.csv")
        if row["date"] not in entered
    ])  # fmt: skip


def unseed_days(apps, schema_editor):
    schema_editor.execute("DELETE FROM rating_calendarday WHERE source = ANY(%s)", [[STATUTORY, NOTICES]])


class Migration(migrations.Migration):
    dependencies = [("rating", "0005_deck_imports")]
    operations = [
        migrations.CreateModel(
            name="SelectionPrefix",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("prefix", models.CharField(max_length=8, unique=True, verbose_name="prefix as dialled")),
                ("name", models.CharField(blank=True, max_length=60, verbose_name="name")),
            ],
            options={
                "verbose_name": "selection prefix",
                "verbose_name_plural": "selection prefixes",
                "ordering": ["prefix"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(prefix__regex="^[1-9][0-9]{2,7}$"), name="selection_prefix_digits"
                    )
                ],
            },
        ),
        migrations.AlterField(
            "numbersegment", "source", models.CharField(default="by hand", max_length=40, verbose_name="source")
        ),
        migrations.RunSQL(SEGMENTS, SEGMENTS_BACK),
        migrations.AddConstraint(
            "numbersegment",
            models.CheckConstraint(
                condition=models.Q(("source", "ported"), _negated=True)
                | models.Q(("prefix__regex", "^[1-9][0-9]{9,14}$")),
                name="segment_ported_whole",
            ),
        ),
        migrations.RunPython(seed_numbers, unseed_numbers),
        migrations.RunSQL(CALENDAR, CALENDAR_BACK),
        migrations.AddField(
            "calendarday",
            "revision",
            models.BigIntegerField(
                db_default=models.Func(function="rating_calendar_revision"), editable=False, verbose_name="revision"
            ),
        ),
        migrations.AddField(
            "calendarday",
            "created_at",
            models.DateTimeField(db_default=Now(), editable=False, verbose_name="created"),
        ),
        migrations.AlterField(
            "calendarday",
            "provisional",
            models.BooleanField(
                default=False, help_text="no official notice yet; 1 January speaks for its whole year",
                verbose_name="provisional",
            ),
        ),
        migrations.AlterModelOptions(
            "calendarday",
            {
                "ordering": ["country", "-date", "-revision"], "verbose_name": "calendar day",
                "verbose_name_plural": "calendar days",
            },
        ),
        migrations.RunPython(seed_days, unseed_days),
        # Taken back from here up: first one row a date, then the old rule that there is one.
        migrations.RemoveConstraint("calendarday", "calendar_day_once"),
        migrations.AddConstraint(
            "calendarday",
            models.UniqueConstraint(fields=("country", "date", "revision"), name="calendar_day_revision"),
        ),
        migrations.RunSQL(ADDED_ONLY, ADDED_ONLY_BACK),
    ]  # fmt: skip
