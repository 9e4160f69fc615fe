"""May this call start? Start it, watch it. (计费控制、回拨)

Owns agents, callbacks with their history and disputes, platform accounts, number lists, hours, the outage policy.
Gate: middleware.BillingMiddleware, decorators.apiview_charge. Face for floor 4: matching (find_calls, note_records),
pending (keep_release), statuses (accept_status, affordable_seconds), disputes (disputes_about).
Money only through counter.client.
Invariants: one call per key; a hold before the platform is asked; no network inside a transaction; states only rise.
"""
