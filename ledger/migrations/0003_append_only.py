from django.db import migrations

TABLES = ("ledger_holdresolution", "ledger_lotconsumption", "ledger_seal")

FUNCTION = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the ledger is only added to', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""
TRIGGERS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
"""
NO_TRIGGERS = """
DROP TRIGGER no_truncate ON {table};
DROP TRIGGER append_only ON {table};
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_account_numbers")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION ledger_refuse_change()"),
        *(migrations.RunSQL(TRIGGERS.format(table=table), NO_TRIGGERS.format(table=table)) for table in TABLES),
    ]
