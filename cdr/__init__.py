"""Call records: every call that happened, once. Intake, adapters, filters, charging, resubmission.

Owns providers, deliveries (raw, as received), call keys and records, filter rules, the review list.
Face: intake.accept. Money is reached through counter.client only; our own calls through callcontrol.calling.
Invariants: a delivery is stored before it counts; (provider, provider call id, leg) is one record; a record is charged,
filtered with a rule, waiting with a deadline, or on a list that people see.
"""
