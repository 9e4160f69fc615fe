"""What a scrape tells, for tests of every room: each sample by its name and labels, as a scraper reads it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from billing_platform import metrics
from billing_platform.metrics import Reading

Samples = dict[str, float]


def scraped(readings: Sequence[Reading] = ()) -> Samples:
    """`billing_rated_total{result=ok}`: 3.0; of histograms only the counts."""
    text = metrics.scrape(readings).decode()
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("billing_") and not sample.name.endswith(("_bucket", "_sum", "_created"))
    }


def read_now(readings: Sequence[Reading]) -> Samples:
    """These readings alone, by name and labels."""
    return {
        _named(gauge.name, dict(zip(gauge.labels, labels, strict=True))): value for gauge, value, labels in readings
    }


@contextmanager
def counted(*names: str) -> Iterator[Samples]:
    """By how much the samples whose names begin so were raised in the block; filled when it ends."""
    before, raised = scraped(), Samples()
    yield raised
    for sample, value in scraped().items():
        if sample.startswith(names) and value != before.get(sample, 0.0):
            raised[sample] = round(value - before.get(sample, 0.0), 6)


def _named(name: str, labels: dict[str, str]) -> str:
    told = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
    return f"{name}{{{told}}}" if told else name
