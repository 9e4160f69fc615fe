"""A number that moves with every change of a key, so that processes may keep keys while it stands still."""

from django.db import migrations, models

FORWARD = """
INSERT INTO billing_platform_keygeneration (id, number) VALUES (1, 1);
CREATE FUNCTION billing_keys_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_platform_keygeneration SET number = number + 1 WHERE id = 1;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_keys_moved
    AFTER UPDATE OF key_id, name, organization, scopes, networks, secret_hash, previous_hash, previous_until,
                    expires_at, revoked_at OR DELETE ON billing_platform_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION billing_keys_moved();
"""
BACKWARD = """
DROP TRIGGER billing_keys_moved ON billing_platform_apikey;
DROP FUNCTION billing_keys_moved();
DELETE FROM billing_platform_keygeneration;
"""


class Migration(migrations.Migration):
    dependencies = [("billing_platform", "0002_audit_append_only")]

    operations = [
        migrations.CreateModel(
            name="KeyGeneration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
