"""The history of a call is only added to: an event may wait for its call, once it has it nothing changes."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION callcontrol_keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the history of a call is kept', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER call_event_kept BEFORE UPDATE OR DELETE ON callcontrol_callbackevent
    FOR EACH ROW WHEN (OLD.callback_id IS NOT NULL) EXECUTE FUNCTION callcontrol_keep_history();
"""
BACKWARD = """
DROP TRIGGER call_event_kept ON callcontrol_callbackevent;
DROP FUNCTION callcontrol_keep_history();
"""


class Migration(migrations.Migration):
    dependencies = [("callcontrol", "0001_callbacks_and_gate")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
