"""Figures with the real processes: `make bench`.

A yardstick (pgbench's bank transfer on the same server) runs before and after; throughput is told as a ratio to it.
Authentication, idempotency, rating, explanation, ledger and outbox are all on, and no figure is reported when the
oracle finds a breach afterwards.
"""
