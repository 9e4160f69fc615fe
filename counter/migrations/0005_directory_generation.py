"""A number that moves whenever the answer to "who pays" may have changed, so that answers may be kept meanwhile."""

from django.db import migrations, models

TABLES = ("counter_organization", "counter_accountbinding", "counter_accountservice")

FORWARD = (
    """
    INSERT INTO counter_directorygeneration (id, number) VALUES (1, 1);
    CREATE FUNCTION counter_directory_moved() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE counter_directorygeneration SET number = number + 1 WHERE id = 1;
        RETURN NULL;
    END $$;
    CREATE TRIGGER counter_directory_moved AFTER UPDATE OF state, parent_id, organization ON ledger_billingaccount
        FOR EACH ROW WHEN ((OLD.state IN ('suspended', 'closed')) <> (NEW.state IN ('suspended', 'closed'))
                           OR OLD.parent_id IS DISTINCT FROM NEW.parent_id OR OLD.organization <> NEW.organization)
        EXECUTE FUNCTION counter_directory_moved();
    """
    + "\n".join(
        f"CREATE TRIGGER counter_directory_moved AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT"
        " EXECUTE FUNCTION counter_directory_moved();"
        for table in TABLES
    )
)
BACKWARD = (
    "\n".join(f"DROP TRIGGER counter_directory_moved ON {table};" for table in (*TABLES, "ledger_billingaccount"))
    + "DROP FUNCTION counter_directory_moved(); DELETE FROM counter_directorygeneration;"
)


class Migration(migrations.Migration):
    dependencies = [("counter", "0004_organization_facts")]

    operations = [
        migrations.CreateModel(
            name="DirectoryGeneration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
