"""Notices under the bell, and what a run tells people who watch it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("billing_platform", "0003_key_generation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=128)),
                ("kind", models.CharField(max_length=60, verbose_name="kind")),
                ("facts", models.JSONField(default=dict, verbose_name="facts")),
                ("path", models.CharField(max_length=500, verbose_name="address")),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("read_at", models.DateTimeField(null=True, verbose_name="read")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "notice",
                "verbose_name_plural": "notices",
                "constraints": [
                    models.UniqueConstraint(fields=("user", "key"), name="notice_once"),
                    models.CheckConstraint(
                        condition=models.Q(("path__regex", "^/([^/\\\\]|$)")), name="notice_stays_here"
                    ),
                ],
                "indexes": [
                    models.Index(fields=["user", "-id"], name="notice_by_person"),
                    models.Index(condition=models.Q(("read_at", None)), fields=["user"], name="notice_unread"),
                    models.Index(fields=["created_at"], name="notice_age"),
                ],
            },
        ),
        migrations.AddField(
            "jobrun", "started_by", models.CharField(blank=True, db_default="", max_length=80, verbose_name="started by")
        ),
        migrations.AddField(
            "jobrun", "step", models.CharField(blank=True, db_default="", max_length=40, verbose_name="step")
        ),
        migrations.AddField("jobrun", "done", models.BigIntegerField(db_default=0, verbose_name="rows done")),
        migrations.AddField("jobrun", "total", models.BigIntegerField(db_default=0, verbose_name="rows in all")),
        migrations.AddField("jobrun", "rate", models.BigIntegerField(db_default=0, verbose_name="rows a second")),
        migrations.AddField("jobrun", "per_cent", models.SmallIntegerField(db_default=0, verbose_name="per cent")),
        migrations.AddField(
            "jobrun", "log", models.JSONField(db_default=models.Value([], models.JSONField()), verbose_name="log")
        ),
        migrations.AddField(
            "jobrun", "cancel_asked_at", models.DateTimeField(null=True, verbose_name="cancel asked")
        ),
        migrations.AlterField(
            "jobrun",
            "state",
            models.CharField(
                choices=[
                    ("waiting", "waiting for a worker"),
                    ("running", "running"),
                    ("done", "done"),
                    ("failed", "failed"),
                    ("interrupted", "interrupted, resumable"),
                ],
                default="running",
                max_length=12,
                verbose_name="state",
            ),
        ),
        migrations.AddIndex("jobrun", models.Index(fields=["state", "-id"], name="jobrun_by_state")),
        migrations.AddIndex(
            "jobrun",
            models.Index(
                condition=models.Q(("started_by", ""), _negated=True), fields=["started_by", "-id"], name="jobrun_own"
            ),
        ),
    ]
