"""A row for each event and endpoint. Events that wait now get theirs from the relay, with the tries that they had."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import billing_platform.clock


class Migration(migrations.Migration):
    dependencies = [("billing_platform", "0005_dead_letters")]

    operations = [
        migrations.AlterField(
            "webhookendpoint",
            "created_at",
            models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                default=billing_platform.clock.now,
                verbose_name="created",
            ),
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("url", models.CharField(max_length=500, verbose_name="address")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("delivered", "delivered"),
                            ("dead", "dead letter"),
                            ("dropped", "endpoint switched off or removed"),
                        ],
                        default="pending",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("next_attempt_at", models.DateTimeField(verbose_name="next attempt")),
                ("tried_at", models.DateTimeField(null=True, verbose_name="last attempt")),
                ("last_error", models.CharField(blank=True, max_length=200, verbose_name="last error")),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="billing_platform.outboxevent",
                        verbose_name="event",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="billing_platform.webhookendpoint",
                        verbose_name="webhook endpoint",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook delivery",
                "verbose_name_plural": "webhook deliveries",
                "constraints": [
                    models.UniqueConstraint(fields=("event", "endpoint"), name="webhook_delivery_once")
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")), fields=["next_attempt_at"], name="webhook_delivery_due"
                    ),
                    models.Index(condition=models.Q(("state", "dead")), fields=["-id"], name="webhook_delivery_dead"),
                ],
            },
        ),
    ]
