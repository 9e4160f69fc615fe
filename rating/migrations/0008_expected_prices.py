"""Questions that a deck must answer, and since when an assignment is known."""

from datetime import UTC, datetime

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Q

BEFORE = datetime(2000, 1, 1, tzinfo=UTC)  # assignments made before anybody noted when


class Migration(migrations.Migration):
    dependencies = [("rating", "0007_tariff_plans")]

    operations = [
        migrations.AddField(
            "tariffprofile",
            "created_at",
            models.DateTimeField(default=BEFORE, verbose_name="created"),
            preserve_default=False,
        ),
        migrations.AlterField(
            "tariffprofile",
            "created_at",
            models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
        ),
        migrations.CreateModel(
            name="ExpectedPrice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                ("question", models.JSONField(verbose_name="question")),
                (
                    "amount",
                    models.DecimalField(
                        blank=True, decimal_places=20, max_digits=36, null=True, verbose_name="amount"
                    ),
                ),
                ("error", models.CharField(blank=True, max_length=20, verbose_name="error")),
                ("created_by", models.CharField(blank=True, max_length=80, verbose_name="created by")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                (
                    "deck",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="rating.deck",
                        verbose_name="rate deck",
                    ),
                ),
            ],
            options={"verbose_name": "test case", "verbose_name_plural": "test cases", "ordering": ["deck", "id"]},
        ),
        migrations.AddConstraint(
            "expectedprice", models.UniqueConstraint(fields=("deck", "name"), name="expected_price_once")
        ),
        migrations.AddConstraint(
            "expectedprice",
            models.CheckConstraint(
                condition=Q(amount__isnull=False, error="") | (Q(amount__isnull=True) & ~Q(error="")),
                name="expected_price_or_error",
            ),
        ),
        migrations.AddConstraint(
            "expectedprice",
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0, amount__lt=10**12), name="expected_price_amount"
            ),
        ),
    ]
