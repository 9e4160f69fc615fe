from django.db import migrations

ACCOUNTS = """
CREATE VIEW ledger_account_facts AS
SELECT id, accno, organization, parent_id, currency, balance, held, credit_limit, warning_threshold, state
FROM ledger_billingaccount;
COMMENT ON VIEW ledger_account_facts IS 'Accounts as other rooms read them; amounts in the account''s currency';
"""
TRANSFERS = """
CREATE VIEW ledger_transfer_facts AS
SELECT t.id, t.account_id, a.accno, a.organization, t.currency,
       CASE WHEN t.credit_id = a.wallet_id THEN t.amount ELSE -t.amount END AS change,
       regexp_replace(other.code, '/[^/]*$', '') AS counterpart,
       t.cause_type, t.cause_id, t.cause_leg, t.reverses, t.effective_at, t.created_at, t.xid, t.memo
FROM ledger_transfer t
JOIN ledger_billingaccount a ON a.id = t.account_id
JOIN ledger_ledgeraccount other ON other.id = CASE WHEN t.credit_id = a.wallet_id THEN t.debit_id ELSE t.credit_id END;
COMMENT ON VIEW ledger_transfer_facts IS
    'Transfers as other rooms read them: change of the wallet (in > 0), counterpart = kind[:label] of the other side';
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_transfers")]

    operations = [
        migrations.RunSQL(ACCOUNTS, "DROP VIEW ledger_account_facts"),
        migrations.RunSQL(TRANSFERS, "DROP VIEW ledger_transfer_facts"),
    ]
