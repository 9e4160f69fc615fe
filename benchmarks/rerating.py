"""P9: a month of charged calls priced again, in a database of its own. python -m benchmarks.rerating prints one line.

The records are copied from a few thousand that were priced one by one, by SQL: what a what-if reads is real, the ledger
behind it is left out.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import django

from billing_platform.embedded import Servers

ROOT = Path(__file__).resolve().parent.parent
MONTH = "2026-10"
BEGINS = datetime(2026, 10, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
PATTERNS = 20_000  # calls that differ in number, length and instant
ACCOUNTS = 10_000
CALLED = ("1380{:07d}", "1590{:07d}", "1880{:07d}", "0106{:07d}", "0216{:07d}", "075{:08d}", "00852{:08d}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rerating", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", default="", metavar="DIR", help="keep the database there, and use it again")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="billing-bench-") as directory,
        Servers(Path(options.keep or directory), durable=False) as servers,
    ):
        os.environ |= {
            "DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "VAR_DIR": directory,
            "DJANGO_SETTINGS_MODULE": "billing_platform.settings", "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        django.setup()
        subprocess.run([sys.executable, "manage.py", "migrate", "--noinput", "-v", "0"], cwd=ROOT, check=True)
        print(json.dumps(measure(options.records, options.processes)))
    return 0


def measure(records: int, processes: int) -> dict[str, float]:
    """Seed what is missing and ask once: records per second, and the peak memory of the largest process in MB."""
    seed(records)
    began = time.monotonic()
    asked = subprocess.run(
        [
            sys.executable, "manage.py", "rerate", "--what-if", "demo-retail:2", "--period", MONTH, "--processes",
            str(processes), "--format", "json",
        ],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - began
    calls = json.loads(asked.stdout)["counts"]["calls"]
    if calls != records:
        raise RuntimeError(f"{calls} calls were priced, {records} are there")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"value": round(records / seconds, 1), "seconds": round(seconds, 1), "peak_mb": round(peak, 1)}


def seed(records: int) -> None:
    """Tenants, a draft of the retail deck, and as many charged uses of the month."""
    from django.db import connection  # noqa: PLC0415  the models exist only after setup

    from benchmarks.seeding import LABEL, seed_tenants  # noqa: PLC0415
    from counter.models import ServiceItem  # noqa: PLC0415

    if not ServiceItem.objects.filter(label=LABEL).exists():
        seed_tenants(ACCOUNTS)
        _draw_up_draft()
    item = ServiceItem.objects.get(label=LABEL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM counter_servicerecord")
        present = cursor.fetchone()[0]
        if present >= records:
            return
        _store_patterns(cursor)
        cursor.execute(_RECORDS, {"item": item.pk, "first": present + 1, "last": records, "accounts": ACCOUNTS})
        cursor.execute("ANALYZE counter_servicerecord")


_RECORDS = f"""
    INSERT INTO counter_servicerecord (
        id, item_id, providerno, account_id, state, organization, application, summary, record_ref, start_at, finish_at,
        count, created_at, ended_at, refusal, content, cost, currency, charged_seconds, charged_count, pack_units,
        deck_version, warnings, explanation, estimated, transfer_id)
    SELECT n, %(item)s, 'bench-' || n, a.id, 'ended', a.organization, '', '', n::text, p.start_at, p.finish_at,
           1, p.finish_at, p.finish_at, '', replace(p.content, 'ACCNO', a.accno), p.cost, 'CNY', p.charged_seconds, 1,
           0, p.deck_version, '', p.explanation, false, n
    FROM generate_series(%(first)s, %(last)s) n
    JOIN bench_pattern p ON p.id = n %% {PATTERNS}
    JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM ledger_billingaccount) a
      ON a.place = n::bigint * 7919 %% %(accounts)s
"""  # noqa: S608  constants


def _store_patterns(cursor: object) -> None:
    from billing_platform.copying import copy_rows  # noqa: PLC0415

    cursor.execute("""
        CREATE TABLE IF NOT EXISTS bench_pattern (id bigint PRIMARY KEY, start_at timestamptz, finish_at timestamptz,
            content text, cost numeric, charged_seconds int, deck_version text, explanation text)
    """)  # type: ignore[attr-defined]
    cursor.execute("TRUNCATE bench_pattern")  # type: ignore[attr-defined]
    columns = ("id", "start_at", "finish_at", "content", "cost", "charged_seconds", "deck_version", "explanation")
    copy_rows("bench_pattern", columns, [_pattern(number) for number in range(PATTERNS)])


def _pattern(number: int) -> tuple[object, ...]:
    """One call of the month and its charge; calls follow each other as ids do."""
    from benchmarks.seeding import LABEL  # noqa: PLC0415
    from counter.content import use_content  # noqa: PLC0415
    from counter.items import items_of  # noqa: PLC0415
    from counter.pricing import Question, price_use  # noqa: PLC0415
    from counter.uses import CallFacts, ServiceUse  # noqa: PLC0415

    start = BEGINS + timedelta(seconds=number * 31 * 86_400 // PATTERNS)
    finish = start + timedelta(seconds=5 + number * 37 % 600)
    called = CALLED[number % len(CALLED)].format(number * 104_729 % 9_999_999)
    call = CallFacts(caller="02160001234", called=called, call_type="callback")
    charge = price_use(Question(items_of({LABEL})[LABEL], None, "bench-0", "ACCNO", start, finish, 1, call))
    content = use_content(ServiceUse("ACCNO", LABEL, "", start, finish, call=call))
    return (
        number, start, finish, content, charge.cost, charge.charged_seconds, charge.deck_version, charge.explanation,
    )  # fmt: skip


def _draw_up_draft() -> None:
    """Version 2 of the retail deck, with a few other prices."""
    from billing_platform.auth import Caller  # noqa: PLC0415
    from rating import demo, tariffs  # noqa: PLC0415
    from rating.decks import load_deck, open_draft  # noqa: PLC0415
    from rating.models import Rate  # noqa: PLC0415

    draft = open_draft(load_deck(demo.RETAIL), caller=Caller("task", "bench"))
    old = Rate.objects.get(deck_id=draft.deck_id, prefix="13")
    old.pk, old.rate, old.valid_from_version = None, old.rate * 2, draft.number
    old.save()
    tariffs.refresh()


if __name__ == "__main__":
    sys.exit(main())
