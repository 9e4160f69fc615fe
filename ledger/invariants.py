"""The ledger's invariants as SQL. Every query answers one text per breach, and nothing when the rule holds.

Parameters: `floor`, the last transfer id that an earlier clean run has covered (0 = look at everything), and the
instants before which an open hold's expiry (`hold_overdue`), an event's next attempt (`event_overdue`) or an event that
was not delivered (`event_too_old`) is a breach. Accounts that were touched after the floor are summed whole.
"""

TOUCHED = "(%(floor)s = 0 OR {account} IN (SELECT account_id FROM ledger_transfer WHERE id > %(floor)s))"

SUM_BY_CURRENCY = """
    SELECT currency, sum(amount) AS amount
    FROM (
        SELECT currency, sum(balance) AS amount FROM ledger_billingaccount GROUP BY currency
        UNION ALL
        SELECT t.currency, sum(CASE WHEN c.kind = 'wallet' THEN 0 ELSE t.amount END
                               - CASE WHEN d.kind = 'wallet' THEN 0 ELSE t.amount END)
        FROM ledger_transfer t
        JOIN ledger_ledgeraccount d ON d.id = t.debit_id JOIN ledger_ledgeraccount c ON c.id = t.credit_id
        GROUP BY t.currency
    ) AS sides
    GROUP BY currency
"""
SUM_IS_ZERO = f"""
    SELECT 'sum of all accounts: ' || amount || ' ' || currency
    FROM ({SUM_BY_CURRENCY}) sums WHERE %(floor)s = 0 AND amount <> 0
"""  # noqa: S608  constants of this module
ONE_CURRENCY = """
    SELECT 'transfer ' || t.id || ' in ' || t.currency || ' between ' || coalesce(d.code, 'nothing') || ' and '
           || coalesce(c.code, 'nothing')
    FROM ledger_transfer t
    LEFT JOIN ledger_ledgeraccount d ON d.id = t.debit_id LEFT JOIN ledger_ledgeraccount c ON c.id = t.credit_id
    WHERE t.id > %(floor)s AND (d.currency IS DISTINCT FROM t.currency OR c.currency IS DISTINCT FROM t.currency)
"""
BALANCE_IS_SUM = f"""
    SELECT a.accno || ': balance ' || a.balance || ', transfers ' || coalesce(sums.amount, 0)
    FROM ledger_billingaccount a
    LEFT JOIN (
        SELECT side.wallet_id, sum(side.amount) AS amount
        FROM ledger_transfer t,
             LATERAL (VALUES (t.credit_id, t.amount), (t.debit_id, -t.amount)) side(wallet_id, amount)
        WHERE {TOUCHED.format(account="t.account_id")}
        GROUP BY side.wallet_id
    ) sums USING (wallet_id)
    WHERE {TOUCHED.format(account="a.id")} AND a.balance <> coalesce(sums.amount, 0)
"""  # noqa: S608  constants of this module
HELD_IS_SUM = """
    SELECT a.accno || ': held ' || a.held || ', open holds ' || coalesce(sums.amount, 0)
    FROM ledger_billingaccount a
    LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM ledger_hold WHERE state = 'open' GROUP BY account_id) sums
           ON sums.account_id = a.id
    WHERE a.held <> coalesce(sums.amount, 0) OR a.held < 0
"""
LOT_IS_SUM = """
    SELECT a.accno || ': lot ' || l.id || ' has ' || l.remaining || ', its movements say '
           || l.granted - coalesce(sums.amount, 0)
    FROM ledger_creditlot l JOIN ledger_billingaccount a ON a.id = l.account_id
    LEFT JOIN (SELECT lot_id, sum(amount) AS amount FROM ledger_lotconsumption GROUP BY lot_id) sums
           ON sums.lot_id = l.id
    WHERE l.remaining <> l.granted - coalesce(sums.amount, 0) OR l.remaining < 0 OR NOT a.has_lots
"""
LOT_WAS_GRANTED = """
    SELECT a.accno || ': lot ' || l.id || ' of ' || l.granted || ' without its transfer'
    FROM ledger_creditlot l JOIN ledger_billingaccount a ON a.id = l.account_id
    LEFT JOIN ledger_transferkey k
           ON k.cause_type = 'lot_grant' AND k.cause_id = a.accno || ':' || l.reference AND k.cause_leg = ''
    LEFT JOIN ledger_transfer t ON t.id = k.transfer_id
    WHERE t.amount IS DISTINCT FROM l.granted OR t.account_id IS DISTINCT FROM l.account_id
"""
DRAWN_FROM_LOTS = """
    SELECT 'transfer ' || drawn.transfer_id || ' of ' || coalesce(t.amount, 0) || ' drew ' || drawn.amount
    FROM (
        SELECT c.transfer_id, l.account_id, sum(c.amount) AS amount
        FROM ledger_lotconsumption c JOIN ledger_creditlot l ON l.id = c.lot_id
        WHERE c.transfer_id > %(floor)s GROUP BY c.transfer_id, l.account_id
    ) drawn
    LEFT JOIN ledger_transfer t ON t.id = drawn.transfer_id
    WHERE abs(drawn.amount) > coalesce(t.amount, 0) OR t.account_id <> drawn.account_id
"""
HOLD_FITTED = """
    SELECT a.accno || ': hold ' || h.reference || ' left ' || h.room_after
    FROM ledger_hold h JOIN ledger_billingaccount a ON a.id = h.account_id
    WHERE h.room_after < 0 AND (%(floor)s = 0 OR h.state = 'open')
"""
PAYMENT_FITTED = """
    SELECT 'transfer ' || id || ' left ' || room_after FROM ledger_transfer WHERE id > %(floor)s AND room_after < 0
"""
STATE_FOLLOWS_LIMIT = """
    SELECT accno || ': ' || state || ' at balance ' || balance || ' with limit ' || credit_limit
    FROM ledger_billingaccount
    WHERE (state = 'active' AND balance < -credit_limit) OR (state = 'overdrawn' AND balance >= -credit_limit)
"""
TRANSFER_HAS_KEY = """
    SELECT 'transfer ' || t.id || ' of cause ' || concat_ws(':', t.cause_type, t.cause_id, t.cause_leg) || ', key of '
           || coalesce(k.transfer_id::text, 'nothing')
    FROM ledger_transfer t LEFT JOIN ledger_transferkey k USING (cause_type, cause_id, cause_leg)
    WHERE t.id > %(floor)s AND k.transfer_id IS DISTINCT FROM t.id
"""
KEY_HAS_TRANSFER = """
    SELECT 'key ' || concat_ws(':', k.cause_type, k.cause_id, k.cause_leg) || ' of transfer ' || k.transfer_id
           || ', which is not there'
    FROM ledger_transferkey k
    WHERE %(floor)s = 0 AND NOT EXISTS (
        SELECT FROM ledger_transfer t
        WHERE t.id = k.transfer_id
          AND (t.cause_type, t.cause_id, t.cause_leg) = (k.cause_type, k.cause_id, k.cause_leg))
"""
REVERSED_AT_MOST_WHOLE = """
    SELECT 'transfer ' || r.reverses || ' of ' || coalesce(o.amount, 0) || ' was reversed with ' || sum(r.amount)
    FROM ledger_transfer r LEFT JOIN ledger_transfer o ON o.id = r.reverses
    WHERE r.reverses IS NOT NULL AND (%(floor)s = 0 OR r.account_id IN (
              SELECT account_id FROM ledger_transfer WHERE id > %(floor)s AND reverses IS NOT NULL))
    GROUP BY r.reverses, o.amount HAVING sum(r.amount) > coalesce(o.amount, 0)
"""
CLOSED_HOLD_IS_RESOLVED = """
    SELECT 'hold ' || h.id || ' is ' || h.state || ', resolutions: ' || coalesce(string_agg(r.outcome, ', '), 'none')
    FROM ledger_hold h LEFT JOIN ledger_holdresolution r ON r.hold_id = h.id
    WHERE %(floor)s = 0 OR h.state = 'open'
    GROUP BY h.id, h.state
    HAVING count(r.outcome) <> CASE WHEN h.state = 'open' THEN 0 ELSE 1 END OR min(r.outcome) <> h.state
"""
OPEN_HOLD_IS_YOUNG = """
    SELECT 'hold ' || id || ' is open, expired ' || to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM ledger_hold WHERE state = 'open' AND expires_at < %(hold_overdue)s
"""
ORGANIZATIONS_STAY_APART = """
    SELECT 'transfer ' || t.id || ' of account ' || t.account_id || ' between ' || d.code || ' and ' || c.code
    FROM ledger_transfer t
    JOIN ledger_ledgeraccount d ON d.id = t.debit_id JOIN ledger_ledgeraccount c ON c.id = t.credit_id
    LEFT JOIN ledger_billingaccount da ON da.wallet_id = d.id LEFT JOIN ledger_billingaccount ca ON ca.wallet_id = c.id
    WHERE t.id > %(floor)s
      AND (da.organization <> ca.organization OR (t.account_id = da.id OR t.account_id = ca.id) IS NOT TRUE)
"""
NOTHING_MAY_CHANGE = """
    SELECT 'table ' || guarded.oid::regclass || ' without the trigger ' || wanted.name
    FROM (
        SELECT relid AS oid FROM pg_partition_tree('ledger_transfer')
        UNION ALL SELECT unnest(ARRAY['ledger_transferkey', 'ledger_holdresolution', 'ledger_lotconsumption',
                                      'ledger_seal']::regclass[])
    ) guarded
    CROSS JOIN (VALUES ('append_only'), ('no_truncate')) wanted(name)
    LEFT JOIN pg_trigger g ON g.tgrelid = guarded.oid AND g.tgname = wanted.name AND g.tgenabled IN ('O', 'A')
    WHERE g.oid IS NULL
"""
EVENTS_GO_OUT = """
    SELECT 'event ' || id || ' ' || topic || ' is ' || state || ' since '
           || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM billing_platform_outboxevent
    WHERE state NOT IN ('delivered', 'dead')
      AND (next_attempt_at < %(event_overdue)s OR created_at < %(event_too_old)s)
"""

INVARIANTS: dict[int, tuple[str, ...]] = {
    1: (SUM_IS_ZERO, ONE_CURRENCY),
    2: (BALANCE_IS_SUM, HELD_IS_SUM, LOT_IS_SUM, LOT_WAS_GRANTED, DRAWN_FROM_LOTS),
    3: (HOLD_FITTED, PAYMENT_FITTED, STATE_FOLLOWS_LIMIT),
    4: (TRANSFER_HAS_KEY, KEY_HAS_TRANSFER, REVERSED_AT_MOST_WHOLE),
    5: (CLOSED_HOLD_IS_RESOLVED, OPEN_HOLD_IS_YOUNG),
    10: (ORGANIZATIONS_STAY_APART,),
    11: (NOTHING_MAY_CHANGE,),
    12: (EVENTS_GO_OUT,),
}
