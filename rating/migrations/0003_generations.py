"""Whatever prices depend on raises its topic's number, whoever changes it: the ORM, the admin, or plain SQL.

The numbers come from a sequence: what was rolled back is never taken for something that came later.
"""

from django.db import migrations

TOPICS = {
    "rating_deck": ("tariffs", "INSERT OR UPDATE OR DELETE"),
    "rating_deckversion": ("tariffs", "UPDATE OF state"),  # a draft's making is nobody's concern
    "rating_tariffprofile": ("tariffs", "INSERT OR UPDATE OR DELETE"),
    "rating_calendarday": ("calendar", "INSERT OR UPDATE OR DELETE"),
    "rating_carrier": ("segments", "INSERT OR UPDATE OR DELETE"),
    "rating_numbersegment": ("segments", "INSERT OR UPDATE OR DELETE"),
}

FORWARD = """
INSERT INTO rating_generation (topic, number) VALUES ('tariffs', 1), ('calendar', 1), ('segments', 1);
CREATE SEQUENCE rating_generation_number START 2;
CREATE FUNCTION rating_generation_raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rating_generation SET number = nextval('rating_generation_number') WHERE topic = TG_ARGV[0];
    RETURN NULL;
END $$;
""" + "\n".join(
    f"CREATE TRIGGER {table}_generation AFTER {moves} ON {table} FOR EACH STATEMENT"
    f" EXECUTE FUNCTION rating_generation_raise('{topic}');"
    for table, (topic, moves) in TOPICS.items()
)

BACKWARD = (
    "\n".join(f"DROP TRIGGER {table}_generation ON {table};" for table in TOPICS)
    + "DROP FUNCTION rating_generation_raise(); DROP SEQUENCE rating_generation_number; DELETE FROM rating_generation;"
)


class Migration(migrations.Migration):
    dependencies = [("rating", "0002_published_content_is_immutable")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
