"""Disputes about calls: one open a call; what was said at the opening stays, and an answer is given once."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION callcontrol_keep_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'open' AND (OLD.id, OLD.call_id, OLD.organization, OLD.reason, OLD.text,
        OLD.charge, OLD.opened_by, OLD.user_id, OLD.opened_at) IS NOT DISTINCT FROM (NEW.id, NEW.call_id,
        NEW.organization, NEW.reason, NEW.text, NEW.charge, NEW.opened_by, NEW.user_id, NEW.opened_at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: a dispute is kept as it was said', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER dispute_kept BEFORE UPDATE OR DELETE ON callcontrol_dispute
    FOR EACH ROW EXECUTE FUNCTION callcontrol_keep_dispute();
"""
BACKWARD = """
DROP TRIGGER dispute_kept ON callcontrol_dispute;
DROP FUNCTION callcontrol_keep_dispute();
"""
STATES = [("open", "open"), ("accepted", "accepted"), ("declined", "declined"), ("withdrawn", "withdrawn")]
REASONS = [
    ("duration", "the duration is wrong"),
    ("unanswered", "nobody answered"),
    ("price", "the price is wrong"),
    ("twice", "charged twice"),
    ("not_mine", "I did not make this call"),
    ("other", "something else"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("callcontrol", "0002_history_is_kept"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("organization", models.CharField(max_length=64, verbose_name="organisation")),
                (
                    "state",
                    models.CharField(choices=STATES, default="open", max_length=10, verbose_name="state"),
                ),
                ("reason", models.CharField(choices=REASONS, max_length=12, verbose_name="reason")),
                ("text", models.CharField(blank=True, max_length=1000, verbose_name="what is wrong")),
                ("charge", models.JSONField(verbose_name="charge at the opening")),
                ("opened_by", models.CharField(max_length=80, verbose_name="opened by")),
                ("opened_at", models.DateTimeField(verbose_name="time of the objection")),
                ("answer", models.CharField(blank=True, max_length=1000, verbose_name="answer")),
                ("closed_by", models.CharField(blank=True, max_length=80, verbose_name="answered by")),
                ("closed_at", models.DateTimeField(null=True, verbose_name="time of the answer")),
                (
                    "call",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="callcontrol.callback",
                        verbose_name="callback",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "dispute",
                "verbose_name_plural": "disputes",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")), fields=("call",), name="dispute_open_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["open", "accepted", "declined", "withdrawn"])),
                        name="dispute_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", True), ("closed_by", ""), ("state", "open")),
                            models.Q(
                                models.Q(("state", "open"), _negated=True),
                                ("closed_at__isnull", False),
                                models.Q(("closed_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="dispute_closed_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["accepted", "declined"]), _negated=True),
                            models.Q(("answer", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="dispute_answered_in_words",
                    ),
                ],
                "indexes": [
                    models.Index(fields=["call", "-id"], name="dispute_by_call"),
                    models.Index(fields=["organization", "-id"], name="dispute_by_organization"),
                    models.Index(
                        condition=models.Q(("state", "open")), fields=["organization", "id"], name="dispute_waiting"
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
