"""The ledger: the only room where balances move.

Owns billing accounts, balanced transfers and their causes, holds and resolutions, credit lots, seals, the oracle.
Face: accounts (open_account, load_account …), posting.post_transfers / post_payment / reverse_transfer,
holds.place_hold / capture_holds / release_hold / expire_holds, audit.verify. Knows no service, no rate, no call.
Invariants: a transfer names both sides and one cause; a cause posts once; wallet balance = credits − debits;
held = Σ open holds; transfers, resolutions and seals are never changed.
"""
