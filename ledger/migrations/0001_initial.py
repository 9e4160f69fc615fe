import django.db.models.deletion
import django.db.models.functions.datetime
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="amount")),
                ("room_after", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="room after placing")),
                ("reference", models.CharField(max_length=200, verbose_name="reference")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("captured", "captured"),
                            ("released", "released"),
                            ("expired", "expired"),
                        ],
                        default="open",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
            ],
            options={
                "verbose_name": "hold",
                "verbose_name_plural": "holds",
            },
        ),
        migrations.CreateModel(
            name="LedgerAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=100, unique=True, verbose_name="code")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("wallet", "wallet"),
                            ("revenue", "revenue"),
                            ("settlement", "money received"),
                            ("promotion", "promotion"),
                            ("refund", "refund"),
                            ("adjustment", "adjustment"),
                            ("overrun", "overrun"),
                            ("clearing", "clearing"),
                        ],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                ("currency", models.CharField(max_length=3, verbose_name="currency")),
            ],
            options={
                "verbose_name": "ledger account",
                "verbose_name_plural": "ledger accounts",
            },
        ),
        migrations.CreateModel(
            name="BillingAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("accno", models.CharField(max_length=20, unique=True, verbose_name="account number")),
                (
                    "kind",
                    models.CharField(
                        choices=[("personal", "personal"), ("company", "company")], max_length=8, verbose_name="kind"
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="name")),
                ("owner", models.CharField(blank=True, max_length=64, verbose_name="owner")),
                ("organization", models.CharField(blank=True, max_length=64, verbose_name="organisation")),
                ("currency", models.CharField(default="CNY", max_length=3, verbose_name="currency")),
                (
                    "balance",
                    models.DecimalField(decimal_places=6, default=Decimal("0"), max_digits=20, verbose_name="balance"),
                ),
                (
                    "held",
                    models.DecimalField(decimal_places=6, default=Decimal("0"), max_digits=20, verbose_name="held"),
                ),
                (
                    "credit_limit",
                    models.DecimalField(
                        decimal_places=6, default=Decimal("0"), max_digits=20, verbose_name="credit limit"
                    ),
                ),
                (
                    "warning_threshold",
                    models.DecimalField(
                        decimal_places=6, default=Decimal("0"), max_digits=20, verbose_name="warning threshold"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "active"),
                            ("overdrawn", "overdrawn"),
                            ("suspended", "suspended"),
                            ("closed", "closed"),
                        ],
                        default="active",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("has_lots", models.BooleanField(default=False, verbose_name="has credit that expires")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.billingaccount",
                        verbose_name="parent",
                    ),
                ),
                (
                    "wallet",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.ledgeraccount",
                        verbose_name="wallet",
                    ),
                ),
            ],
            options={
                "verbose_name": "billing account",
                "verbose_name_plural": "billing accounts",
            },
        ),
        migrations.CreateModel(
            name="CreditLot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("paid", "paid"), ("gift", "gift"), ("promotion", "promotion")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                ("granted", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="granted")),
                ("remaining", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="remaining")),
                ("expires_at", models.DateTimeField(null=True, verbose_name="expires")),
                ("priority", models.SmallIntegerField(default=50, verbose_name="priority")),
                ("reference", models.CharField(max_length=128, verbose_name="reference")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ledger.billingaccount"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="HoldResolution",
            fields=[
                (
                    "hold",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="ledger.hold",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("captured", "captured"),
                            ("released", "released"),
                            ("expired", "expired"),
                        ],
                        max_length=8,
                        verbose_name="outcome",
                    ),
                ),
                ("cause", models.CharField(max_length=200, verbose_name="cause")),
                (
                    "resolved_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="resolved"),
                ),
            ],
            options={
                "verbose_name": "hold resolution",
                "verbose_name_plural": "hold resolutions",
            },
        ),
        migrations.AddField(
            model_name="hold",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ledger.billingaccount"
            ),
        ),
        migrations.CreateModel(
            name="LotConsumption",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("transfer_id", models.BigIntegerField(db_index=True)),
                ("amount", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="amount")),
                (
                    "lot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ledger.creditlot"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(unique=True, verbose_name="day")),
                ("partition", models.CharField(max_length=63, verbose_name="partition")),
                ("rows", models.BigIntegerField(verbose_name="rows")),
                ("sums", models.JSONField(verbose_name="sum per currency")),
                ("sha256", models.BinaryField(max_length=32)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
                (
                    "previous",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ledger.seal"
                    ),
                ),
            ],
            options={
                "verbose_name": "seal",
                "verbose_name_plural": "seals",
            },
        ),
        migrations.CreateModel(
            name="AdjustmentRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="amount")),
                ("reference", models.CharField(max_length=128, verbose_name="reference")),
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
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
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
                "verbose_name": "adjustment request",
                "verbose_name_plural": "adjustment requests",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__gt", Decimal("-1000000000000")),
                            ("amount__lt", Decimal("1000000000000")),
                            models.Q(("amount", 0), _negated=True),
                        ),
                        name="adjustment_amount_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "approved"), _negated=True),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="adjustment_two_people",
                    ),
                    models.UniqueConstraint(fields=("account", "reference"), name="adjustment_reference_once"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="creditlot",
            index=models.Index(condition=models.Q(("remaining__gt", 0)), fields=["account"], name="lot_live"),
        ),
        migrations.AddIndex(
            model_name="creditlot",
            index=models.Index(condition=models.Q(("remaining__gt", 0)), fields=["expires_at"], name="lot_expiring"),
        ),
        migrations.AddConstraint(
            model_name="creditlot",
            constraint=models.CheckConstraint(
                condition=models.Q(("granted__gt", 0), ("granted__lt", Decimal("1000000000000"))),
                name="lot_granted_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditlot",
            constraint=models.CheckConstraint(
                condition=models.Q(("remaining__gte", 0), ("remaining__lte", models.F("granted"))), name="lot_remaining"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditlot",
            constraint=models.UniqueConstraint(fields=("account", "reference"), name="lot_reference_once"),
        ),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(condition=models.Q(("state", "open")), fields=["expires_at"], name="hold_expiring"),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0), ("amount__lt", Decimal("1000000000000"))),
                name="hold_amount_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.CheckConstraint(condition=models.Q(("room_after__gte", 0)), name="hold_fitted"),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.UniqueConstraint(fields=("account", "reference"), name="hold_reference_once"),
        ),
        migrations.AddIndex(
            model_name="billingaccount",
            index=models.Index(fields=["organization"], name="account_by_organization"),
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("balance__gt", Decimal("-1000000000000")), ("balance__lt", Decimal("1000000000000"))
                ),
                name="account_balance_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("held__gte", 0), ("held__lt", Decimal("1000000000000"))),
                name="account_held_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("credit_limit__gte", 0), ("credit_limit__lt", Decimal("1000000000000"))),
                name="account_credit_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "personal")), fields=("owner",), name="account_one_personal"
            ),
        ),
        migrations.AddConstraint(
            model_name="billingaccount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "company")), fields=("owner", "name"), name="account_company_by_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="lotconsumption",
            constraint=models.UniqueConstraint(fields=("lot", "transfer_id"), name="lot_consumption_once"),
        ),
    ]
