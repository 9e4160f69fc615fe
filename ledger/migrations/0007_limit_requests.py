from decimal import Decimal

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_facts")]

    operations = [
        migrations.CreateModel(
            name="LimitRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("credit_limit", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="credit limit")),
                (
                    "warning_threshold",
                    models.DecimalField(decimal_places=6, max_digits=20, verbose_name="warning threshold"),
                ),
                ("reason", models.CharField(max_length=300, verbose_name="reason")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "waiting for approval"),
                            ("approved", "approved"),
                            ("rejected", "rejected"),
                        ],
                        default="pending",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("requested_by", models.CharField(max_length=80, verbose_name="requested by")),
                ("decided_by", models.CharField(blank=True, max_length=80, verbose_name="decided by")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True, verbose_name="decided")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.billingaccount",
                        verbose_name="billing account",
                    ),
                ),
            ],
            options={
                "verbose_name": "request for other limits",
                "verbose_name_plural": "requests for other limits",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("credit_limit__gte", 0),
                            ("credit_limit__lt", Decimal("1000000000000")),
                            ("warning_threshold__gte", 0),
                            ("warning_threshold__lt", Decimal("1000000000000")),
                        ),
                        name="limit_request_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "approved"), _negated=True),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="limit_request_two_people",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "pending")),
                        fields=("account",),
                        name="limit_request_one_waits",
                    ),
                ],
            },
        ),
    ]
