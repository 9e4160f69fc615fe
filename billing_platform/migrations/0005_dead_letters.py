from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # events are written with every charge: the index is built beside them
    dependencies = [("billing_platform", "0004_notices")]

    operations = [
        AddIndexConcurrently(
            "outboxevent",
            models.Index(fields=["topic"], name="outbox_dead", condition=models.Q(("state", "dead"))),
        ),
    ]
