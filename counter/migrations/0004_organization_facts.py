"""Organisations as other rooms read them."""

from django.db import migrations

FORWARD = """
CREATE VIEW counter_organization_facts AS
SELECT organization.code, COALESCE(parent.code, '') AS parent_code, organization.name, organization.zone
  FROM counter_organization organization
  LEFT JOIN counter_organization parent ON parent.id = organization.parent_id;
COMMENT ON VIEW counter_organization_facts IS 'Organisations as other rooms read them; parent_code is empty at the top';
"""


class Migration(migrations.Migration):
    dependencies = [("counter", "0003_first_key")]

    operations = [migrations.RunSQL(FORWARD, "DROP VIEW counter_organization_facts")]
