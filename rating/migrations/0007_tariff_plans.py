"""Tariff plans, the decks that belong to them, and lengths to the nanosecond: a plan counts in base units."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

LENGTHS = {
    "rate_unit": models.DecimalField(decimal_places=9, default=60, max_digits=18, verbose_name="per seconds"),
    "first_increment": models.DecimalField(
        decimal_places=9, default=60, max_digits=18, verbose_name="first increment, seconds"
    ),
    "next_increment": models.DecimalField(
        decimal_places=9, default=60, max_digits=18, verbose_name="next increment, seconds"
    ),
    "free_seconds": models.DecimalField(decimal_places=9, default=0, max_digits=18, verbose_name="how many seconds"),
}


class Migration(migrations.Migration):
    dependencies = [("rating", "0006_calendar_and_segments")]

    operations = [
        migrations.CreateModel(
            name="TariffPlan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=64, unique=True, verbose_name="code")),
                ("zone", models.CharField(max_length=40, verbose_name="time zone")),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
                ("sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256")),
                ("counts", models.JSONField(default=dict, verbose_name="counts")),
                (
                    "applied_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="applied"
                    ),
                ),
                ("applied_by", models.CharField(blank=True, max_length=80, verbose_name="applied by")),
            ],
            options={"verbose_name": "tariff plan", "verbose_name_plural": "tariff plans", "ordering": ["code"]},
        ),
        migrations.AddField(
            "deck",
            "plan",
            models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="rating.tariffplan",
                verbose_name="tariff plan",
            ),
        ),
        *(migrations.AlterField("rate", name, length) for name, length in LENGTHS.items()),
    ]
