from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_platform_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: rows are only added', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON billing_platform_auditentry
    FOR EACH ROW EXECUTE FUNCTION billing_platform_refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON billing_platform_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_platform_refuse_change();
"""
BACKWARD = """
DROP TRIGGER audit_no_truncate ON billing_platform_auditentry;
DROP TRIGGER audit_append_only ON billing_platform_auditentry;
DROP FUNCTION billing_platform_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing_platform", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
