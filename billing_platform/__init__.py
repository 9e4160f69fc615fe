"""Floor 0: what every room stands on.

Owns settings, URLs, Celery and its beat table, the clock, money arithmetic, errors, state moves, callers and roles,
durable events, jobs, health, metrics, the embedded servers. Knows no room above it: what it must ask of one stands
as a dotted name in `registry`.
Face: clock.now, money.rounded, errors.PlatformError, auth.Caller, outbox.record_events, jobs.job_run.
"""
