from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE ledger_accno_seq START 17", "DROP SEQUENCE ledger_accno_seq"),
        # Balances are rewritten all day: room in the page keeps those updates away from the indexes.
        migrations.RunSQL(
            "ALTER TABLE ledger_billingaccount SET (fillfactor = 60)",
            "ALTER TABLE ledger_billingaccount RESET (fillfactor)",
        ),
    ]
