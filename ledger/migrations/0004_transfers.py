import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

TABLES = """
CREATE SEQUENCE ledger_transfer_id_seq;
CREATE TABLE ledger_transfer (
    id bigint NOT NULL DEFAULT nextval('ledger_transfer_id_seq'),
    account_id bigint NOT NULL,
    debit_id bigint NOT NULL,
    credit_id bigint NOT NULL,
    reverses bigint,
    effective_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    amount numeric(20, 6) NOT NULL,
    room_after numeric(20, 6),
    currency text NOT NULL,
    cause_type text NOT NULL,
    cause_id text NOT NULL,
    cause_leg text NOT NULL DEFAULT '',
    memo text NOT NULL DEFAULT '',
    PRIMARY KEY (id, created_at),
    CONSTRAINT transfer_amount_bounded CHECK (amount > 0 AND amount < 1000000000000),
    CONSTRAINT transfer_two_sides CHECK (debit_id <> credit_id),
    CONSTRAINT transfer_payment_fitted CHECK (room_after >= 0)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE ledger_transfer_id_seq OWNED BY ledger_transfer.id;
CREATE INDEX ledger_transfer_account_id ON ledger_transfer (account_id, id);

CREATE TABLE ledger_transferkey (
    cause_type text NOT NULL,
    cause_id text NOT NULL,
    cause_leg text NOT NULL DEFAULT '',
    transfer_id bigint NOT NULL,
    PRIMARY KEY (cause_type, cause_id, cause_leg)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_transfer
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();  -- the database copies this one to every partition
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();  -- but not this one
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_transferkey
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger_transferkey
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

CREATE TABLE ledger_transfer_default PARTITION OF ledger_transfer DEFAULT;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger_transfer_default
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
"""
NO_TABLES = """
DROP TABLE ledger_transferkey;
DROP TABLE ledger_transfer;
"""

PARTITIONS = """
CREATE FUNCTION ledger_make_partition(month date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', month::timestamp);
    name text := 'ledger_transfer_' || to_char(first, 'YYYYMM');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Made beside the parent and attached: charging goes on meanwhile.
    EXECUTE format('CREATE TABLE %I (LIKE ledger_transfer INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()',
        name
    );
    EXECUTE format(
        'ALTER TABLE ledger_transfer ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
        first AT TIME ZONE 'Asia/Shanghai', (first + interval '1 month') AT TIME ZONE 'Asia/Shanghai'
    );
    RETURN name;
END $$;
COMMENT ON FUNCTION ledger_make_partition IS 'The partition of one month (00:00 +08:00 to 00:00 +08:00); null when it is there';

CREATE FUNCTION ledger_make_partitions(at timestamptz, months_ahead integer) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT name
    FROM generate_series(0, months_ahead) AS ahead,
         ledger_make_partition(((at AT TIME ZONE 'Asia/Shanghai') + ahead * interval '1 month')::date) AS name
    WHERE name IS NOT NULL
$$;
COMMENT ON FUNCTION ledger_make_partitions IS 'The month of an instant and the months after it; names those that are new';
"""
NO_PARTITIONS = """
DROP FUNCTION ledger_make_partitions(timestamptz, integer);
DROP FUNCTION ledger_make_partition(date);
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_append_only")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLES, NO_TABLES),
                migrations.RunSQL(PARTITIONS, NO_PARTITIONS),
                migrations.RunSQL("SELECT ledger_make_partitions(now(), 3)", migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="Transfer",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("amount", models.DecimalField(decimal_places=6, max_digits=20, verbose_name="amount")),
                        ("currency", models.CharField(max_length=3, verbose_name="currency")),
                        ("cause_type", models.CharField(max_length=20, verbose_name="cause")),
                        ("cause_id", models.CharField(max_length=160, verbose_name="cause id")),
                        ("cause_leg", models.CharField(blank=True, max_length=40, verbose_name="part of the cause")),
                        ("reverses", models.BigIntegerField(null=True, verbose_name="reverses")),
                        (
                            "room_after",
                            models.DecimalField(
                                decimal_places=6, max_digits=20, null=True, verbose_name="room after payment"
                            ),
                        ),
                        ("effective_at", models.DateTimeField(verbose_name="effective")),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                            ),
                        ),
                        ("memo", models.CharField(blank=True, max_length=512, verbose_name="memo")),
                        (
                            "account",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="ledger.billingaccount",
                            ),
                        ),
                        (
                            "credit",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="ledger.ledgeraccount",
                            ),
                        ),
                        (
                            "debit",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="ledger.ledgeraccount",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "transfer",
                        "verbose_name_plural": "transfers",
                    },
                ),
                migrations.CreateModel(
                    name="TransferKey",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "cause_type",
                                "cause_id",
                                "cause_leg",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("cause_type", models.CharField(max_length=20)),
                        ("cause_id", models.CharField(max_length=160)),
                        ("cause_leg", models.CharField(max_length=40)),
                        ("transfer_id", models.BigIntegerField()),
                    ],
                ),
            ],
        ),
    ]
