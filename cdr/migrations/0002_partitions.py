"""Deliveries and call records live in monthly partitions, cut at China's midnight; the partition key joins the key.

Their ids come from one sequence in blocks of a thousand: a process asks once and then numbers rows by itself.
"""

from django.db import migrations

TABLES = {"call_deliveries": "received_at", "call_records": "start_time"}

PARTITION = """
ALTER TABLE {table} RENAME TO {table}_plain;
CREATE TABLE {table} (LIKE {table}_plain INCLUDING DEFAULTS) PARTITION BY RANGE ({column});
DROP TABLE {table}_plain;
ALTER TABLE {table} ADD PRIMARY KEY (id, {column});
CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
DO $$
DECLARE month timestamp := date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai');
BEGIN
    FOR n IN -4..3 LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)',
            '{table}_' || to_char(month + make_interval(months => n), 'YYYYMM'),
            (month + make_interval(months => n)) AT TIME ZONE 'Asia/Shanghai',
            (month + make_interval(months => n + 1)) AT TIME ZONE 'Asia/Shanghai');
    END LOOP;
END $$;
"""

UNPARTITION = """
ALTER TABLE {table} RENAME TO {table}_parted;
CREATE TABLE {table} (LIKE {table}_parted INCLUDING DEFAULTS);
INSERT INTO {table} SELECT * FROM {table}_parted;
DROP TABLE {table}_parted;
ALTER TABLE {table} ADD PRIMARY KEY (id);
"""

INDEXES = """
CREATE INDEX call_record_called ON call_records (called, start_time);
CREATE INDEX call_record_organization ON call_records (organization, start_time);
CREATE INDEX call_record_unbilled ON call_records (state, next_bill_at) WHERE NOT billed AND NOT state = 'filtered';
"""

FORWARD = "".join(PARTITION.format(table=table, column=column) for table, column in TABLES.items()) + INDEXES
BACKWARD = "".join(UNPARTITION.format(table=table) for table in TABLES) + INDEXES


class Migration(migrations.Migration):
    dependencies = [("cdr", "0001_initial")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunSQL("CREATE SEQUENCE call_ids INCREMENT BY 1000", "DROP SEQUENCE call_ids"),
    ]
