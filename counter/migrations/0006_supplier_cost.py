"""What a use cost us, beside what it cost the customer. Unknown costs are null."""

from decimal import Decimal

from django.db import migrations, models

COLUMNS = """r.id AS service_record_id, i.label, r.providerno, r.organization, r.account_id, r.content,
       r.explanation, r.cost, r.currency, r.charged_seconds, r.deck_version, r.warnings, r.estimated,
       r.transfer_id"""
SOURCE = "FROM counter_servicerecord r JOIN counter_serviceitem i ON i.id = r.item_id WHERE r.state = 'ended'"


class Migration(migrations.Migration):
    dependencies = [("counter", "0005_directory_generation")]

    operations = [
        migrations.AddField(
            "servicerecord", "supplier_cost",
            models.DecimalField(decimal_places=6, max_digits=20, null=True, verbose_name="supplier's cost"),
        ),
        migrations.AddField(
            "servicerecord", "supplier_deck_version",
            models.CharField(blank=True, db_default="", max_length=100, verbose_name="supplier's deck version"),
        ),
        migrations.AddField(
            "replacedcharge", "supplier_cost",
            models.DecimalField(decimal_places=6, max_digits=20, null=True),
        ),
        migrations.AddField(
            "replacedcharge", "supplier_deck_version", models.CharField(blank=True, db_default="", max_length=100)
        ),
        migrations.AddConstraint(
            "servicerecord",
            models.CheckConstraint(
                condition=models.Q(
                    ("supplier_cost__isnull", True),
                    models.Q(("supplier_cost__gte", 0), ("supplier_cost__lt", Decimal("1000000000000"))),
                    _connector="OR",
                ),
                name="use_supplier_cost_bounded",
            ),
        ),
        migrations.RunSQL(
            f"CREATE OR REPLACE VIEW counter_use_explanations AS "
            f"SELECT {COLUMNS}, r.supplier_cost, r.supplier_deck_version, r.record_ref, r.start_at {SOURCE}",
            f"DROP VIEW counter_use_explanations; "
            f"CREATE VIEW counter_use_explanations AS SELECT {COLUMNS} {SOURCE}",
        ),
        migrations.RunSQL(
            "CREATE VIEW counter_replaced_charges AS "
            "SELECT c.record_id AS service_record_id, r.organization, c.cause, c.content, c.explanation, c.cost, "
            "r.currency, c.deck_version, c.transfer_id, c.reversal_id, c.replaced_at "
            "FROM counter_replacedcharge c JOIN counter_servicerecord r ON r.id = c.record_id",
            "DROP VIEW counter_replaced_charges",
        ),
    ]
