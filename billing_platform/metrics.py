"""Every metric of the platform in one table. Base units, few labels: never a number or an account.

Several processes on one host share PROMETHEUS_MULTIPROC_DIR; the scrape of any of them adds all of them up.
"""

import os

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
AROUND_HALF = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 5.0, 30.0, 300.0)
AGES = (1, 5, 30, 60, 300, 900, 3600, 86400)

gate_requests = Counter("billing_gate_requests_total", "Calls asked for at the gate", ["service", "verdict"])
gate_duration = Histogram("billing_gate_duration_seconds", "Gate decision", ["service", "verdict"], buckets=FAST)
gate_headers_ignored = Counter(
    "billing_gate_headers_ignored_total", "Identity headers from callers whose word does not count", ["caller"]
)
callback_requests = Counter("billing_callback_requests_total", "Callbacks placed", ["provider", "verdict"])
callback_duration = Histogram(
    "billing_callback_duration_seconds", "Placing a callback", ["provider", "verdict"], buckets=FAST
)
cdr_received = Counter("billing_cdr_received_total", "Call records received", ["provider", "verdict"])
cdr_age = Histogram("billing_cdr_age_seconds", "End of call to stored", ["provider", "verdict"], buckets=AGES)
rated = Counter("billing_rated_total", "Legs rated", ["result"])
rating_duration = Histogram("billing_rating_duration_seconds", "Rating a batch", ["result"], buckets=FAST)
charge_duration = Histogram(
    "billing_charge_duration_seconds", "Received to committed", ["result", "reason"], buckets=AROUND_HALF
)
charge_attempts = Counter("billing_charge_attempts_total", "Attempts to charge", ["result", "reason"])
charge_backlog = Gauge(
    "billing_charge_backlog", "Records waiting for their charge", ["reason"], multiprocess_mode="mostrecent"
)
charge_oldest = Gauge("billing_charge_oldest_age_seconds", "Oldest record waiting", multiprocess_mode="mostrecent")
charge_at_risk = Gauge(
    "billing_charge_amount_at_risk", "Estimated amount waiting", ["currency"], multiprocess_mode="mostrecent"
)
rate_cache = Counter("billing_rate_cache_lookups_total", "Look-ups of compiled decks", ["layer", "result"])
deck_bytes = Gauge("billing_deck_compiled_bytes", "Compiled decks in memory", multiprocess_mode="livesum")
deck_compile = Histogram("billing_deck_compile_seconds", "Compiling a deck version")
deck_import_rows = Counter("billing_deck_import_rows_total", "Rows imported", ["action"])
calls = Counter("billing_calls_total", "Calls ended", ["carrier", "direction", "answered"])
call_seconds = Counter("billing_call_seconds_total", "Seconds talked", ["carrier", "direction", "answered"])
revenue = Counter("billing_revenue_amount_total", "Charged", ["currency"])
cost = Counter("billing_cost_amount_total", "Supplier cost", ["currency"])
wallets = Gauge("billing_wallets", "Wallets by state", ["state"], multiprocess_mode="mostrecent")
holds_open = Gauge("billing_holds_open", "Open holds", multiprocess_mode="mostrecent")
hold_oldest = Gauge("billing_hold_oldest_age_seconds", "Oldest open hold", multiprocess_mode="mostrecent")
ledger_imbalance = Gauge(
    "billing_ledger_imbalance", "Sum of all accounts", ["currency"], multiprocess_mode="mostrecent"
)
breaches = Gauge(
    "billing_invariant_breaches", "Findings of the last verification", ["invariant"], multiprocess_mode="mostrecent"
)
verified_at = Gauge(
    "billing_verify_last_success_timestamp_seconds", "Last clean verification", multiprocess_mode="mostrecent"
)
outbox_pending = Gauge("billing_outbox_pending", "Events not yet delivered", ["topic"], multiprocess_mode="mostrecent")
outbox_oldest = Gauge(
    "billing_outbox_oldest_age_seconds", "Oldest event not yet delivered", ["topic"], multiprocess_mode="mostrecent"
)
dead_letters = Gauge("billing_dead_letters", "Events given up", ["topic"], multiprocess_mode="mostrecent")
outbox_sent = Counter("billing_outbox_sent_total", "Attempts to deliver an event", ["result"])
doorbells_lost = Counter("billing_doorbells_lost_total", "Task messages that could not be published", ["task"])
job_last_success = Gauge(
    "billing_job_last_success_timestamp_seconds", "Last good run", ["job"], multiprocess_mode="mostrecent"
)
job_duration = Histogram("billing_job_duration_seconds", "Duration of a run", ["job"])
job_runs = Counter("billing_job_runs_total", "Runs ended", ["job", "exit_code"])
counter_calls = Counter("billing_counter_calls_total", "gRPC calls answered", ["method", "code"])
counter_repeats = Counter("billing_counter_repeats_total", "Calls that a client library sent again", ["method"])
counter_duration = Histogram("billing_counter_duration_seconds", "gRPC call", ["method"], buckets=FAST)
counter_naive_times = Counter("billing_counter_naive_times_total", "Times without offset taken as UTC")
counter_batch_size = Histogram(
    "billing_counter_batch_size", "Uses settled together", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)


def scrape() -> bytes:
    """All metrics in Prometheus' text format, of all processes that share a directory."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    gathered = CollectorRegistry()
    MultiProcessCollector(gathered)  # type: ignore[no-untyped-call]  # the library has no types here
    return generate_latest(gathered)
