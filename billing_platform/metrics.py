"""Every metric of the platform in one table. Base units, few labels: never a number or an account.

Several processes on one host share PROMETHEUS_MULTIPROC_DIR; the scrape of any of them adds all of them up. What the
database knows better than any process is an `AskedGauge`: read when somebody scrapes, and the same in all of them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class AskedGauge:
    """A gauge that no process keeps; `billing_platform.gauges` reads its values from the database."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


class Reading(NamedTuple):
    """One value of an asked gauge; `labels` in the order of the gauge's."""

    gauge: AskedGauge
    value: float
    labels: tuple[str, ...] = ()


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
charge_backlog = AskedGauge("billing_charge_backlog", "Records waiting for their charge", ("reason",))
charge_oldest = AskedGauge("billing_charge_oldest_age_seconds", "Oldest record pending")
charge_at_risk = AskedGauge("billing_charge_amount_at_risk", "Estimated amount waiting", ("currency",))
rate_cache = Counter("billing_rate_cache_lookups_total", "Look-ups of compiled decks", ["layer", "result"])
deck_bytes = Gauge("billing_deck_compiled_bytes", "Compiled decks in memory", multiprocess_mode="livesum")
deck_compile = Histogram("billing_deck_compile_seconds", "Compiling a deck version")
carrier_lookups = Counter("billing_carrier_lookups_total", "Numbers asked of the look-up service", ["result"])
calendar_official = Gauge(
    "billing_calendar_official_days", "Days until the first one without an official notice",
    multiprocess_mode="mostrecent",
)  # fmt: skip
deck_import_rows = Counter("billing_deck_import_rows_total", "Rows imported", ["action"])
calls = Counter("billing_calls_total", "Calls ended", ["carrier", "direction", "answered"])
call_seconds = Counter("billing_call_seconds_total", "Seconds talked", ["carrier", "direction", "answered"])
revenue = Counter("billing_revenue_amount_total", "Charged", ["currency"])
cost = Counter("billing_cost_amount_total", "Supplier cost", ["currency"])
wallets = AskedGauge("billing_wallets", "Wallets by state", ("state",))
holds_open = AskedGauge("billing_holds_open", "Open holds")
hold_oldest = AskedGauge("billing_hold_oldest_age_seconds", "Oldest open hold")
ledger_imbalance = Gauge(
    "billing_ledger_imbalance", "Sum of all accounts", ["currency"], multiprocess_mode="mostrecent"
)
breaches = Gauge(
    "billing_invariant_breaches", "Findings of the last verification", ["invariant"], multiprocess_mode="mostrecent"
)
verified_at = Gauge(
    "billing_verify_last_success_timestamp_seconds", "Last clean verification", multiprocess_mode="mostrecent"
)
outbox_pending = AskedGauge("billing_outbox_pending", "Events not yet delivered", ("topic",))
outbox_oldest = AskedGauge("billing_outbox_oldest_age_seconds", "Oldest event not yet delivered", ("topic",))
dead_letters = AskedGauge("billing_dead_letters", "Events given up", ("topic",))
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


class _Asked(Collector):
    """Readings as families; a gauge without a reading is there, and empty."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._families = {
            gauge.name: GaugeMetricFamily(gauge.name, gauge.documentation, labels=gauge.labels)
            for gauge in globals().values()
            if isinstance(gauge, AskedGauge)
        }
        for reading in readings:
            self._families[reading.gauge.name].add_metric(reading.labels, reading.value)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families.values()


def rounded(amount: Decimal) -> float:
    """An amount as a metric has it: Prometheus knows no decimals. For dashboards; the ledger has the exact one."""
    return float(amount)


def scrape(readings: Sequence[Reading] = ()) -> bytes:
    """All metrics in Prometheus' text format: of all processes that share a directory, and what the gauges read."""
    asked = CollectorRegistry()
    asked.register(_Asked(readings))
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(asked)
    gathered = CollectorRegistry()
    MultiProcessCollector(gathered)  # type: ignore[no-untyped-call]  # the library has no types here
    return generate_latest(gathered) + generate_latest(asked)
