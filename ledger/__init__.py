"""The ledger: the only room where balances move.

Owns billing accounts, balanced transfers and their causes, holds and resolutions, credit lots, seals, the oracle.
Face: accounts (open_account, load_account …), register and history (lists), posting.post_transfers / post_payment,
reversals.reverse_transfers, holds (place, extend, capture, release, expire), funding (top_up, adjust, grant),
adjustments, limits, audit.verify; views ledger_account_facts and ledger_transfer_facts. Knows no service, no rate.
Invariants: a transfer names both sides and one cause; a cause posts once; wallet balance = credits − debits;
held = Σ open holds; transfers, resolutions and seals are never changed.
"""
