from django.db import migrations

# The few events about accounts among the many about calls: those of one account, and those of the last day. The topics
# are written out as in finance.alerts, so that the planner sees that its questions are inside.
TOPICS = "topic IN ('account.low_balance', 'account.overdrawn', 'account.state')"


def index(name, columns):
    """Events are written with every charge: built beside them, and begun anew when an earlier try was cut off."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    create = f"CREATE INDEX CONCURRENTLY {name} ON billing_platform_outboxevent {columns} WHERE {TOPICS}"
    return migrations.RunSQL([drop, create], [drop])


class Migration(migrations.Migration):
    atomic = False  # nothing is built concurrently inside a transaction
    dependencies = [("ledger", "0007_limit_requests"), ("billing_platform", "0001_initial")]

    operations = [
        index("outbox_of_account", "(subject, id)"),
        index("outbox_about_accounts", "(created_at)"),
    ]
