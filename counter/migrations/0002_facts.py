"""Read-only views for the floors above: what a use cost and why."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("counter", "0001_uses_and_openings"), ("ledger", "0005_facts")]

    operations = [
        migrations.RunSQL(
            """
            CREATE VIEW counter_use_explanations AS
            SELECT r.id AS service_record_id, i.label, r.providerno, r.organization, r.account_id, r.content,
                   r.explanation, r.cost, r.currency, r.charged_seconds, r.deck_version, r.warnings, r.estimated,
                   r.transfer_id
            FROM counter_servicerecord r JOIN counter_serviceitem i ON i.id = r.item_id
            WHERE r.state = 'ended';
            """,
            "DROP VIEW counter_use_explanations;",
        ),
    ]
