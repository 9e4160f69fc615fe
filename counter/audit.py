"""What the oracle asks this room: is every charged use one transfer, and would it cost the same again?"""

from collections.abc import Iterable, Iterator
from itertools import islice

from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.dashboard import Card
from billing_platform.models import Role
from billing_platform.oracle import EXAMPLES_MAX, Finding, since
from counter.models import DefaultRateNotice, ServiceRecord
from counter.quotas import day_of
from counter.repricing import StoredUse, cost_again
from rating.call import PricingError

REPRICED_MAX = 5_000  # uses whose price is asked again by one run, the newest first; nothing hides how many that is
COUNTED_MAX = 2_000
CHARGED, REPRICED = 7, 8
READERS = frozenset({
    Role.OPS.value, Role.FINANCE.value, Role.RATE_ADMIN.value, Role.AUDITOR.value, Role.PLATFORM_ADMIN.value,
})  # fmt: skip

_USE_HAS_ITS_TRANSFER = """
    SELECT 'use ' || r.id || ' costs ' || r.cost || ' ' || r.currency || ', its transfer moves '
           || coalesce(-t.change || ' ' || t.currency, 'nothing')
    FROM counter_servicerecord r LEFT JOIN ledger_transfer_facts t ON t.id = r.transfer_id
    WHERE r.id > %(record)s AND r.state = 'ended' AND r.cost > 0
      AND (t.account_id, t.change, t.currency, t.cause_type, t.cause_id)
          IS DISTINCT FROM (r.account_id, -r.cost, r.currency, 'use', r.id::text)
"""
# A reversal is younger than what it reverses, so that both lie behind the floor or neither matters.
_TRANSFER_HAS_ITS_USE = """
    SELECT 'transfer ' || t.id || ' is in force for use ' || t.cause_id || ', which names '
           || coalesce(r.transfer_id::text, 'none')
    FROM ledger_transfer_facts t
    LEFT JOIN (SELECT reverses, sum(change) AS change FROM ledger_transfer_facts
               WHERE id > %(transfer)s AND reverses IS NOT NULL GROUP BY reverses) back ON back.reverses = t.id
    LEFT JOIN counter_servicerecord r ON r.id = t.cause_id::bigint AND r.state = 'ended'
    WHERE t.id > %(transfer)s AND t.cause_type = 'use' AND t.change + coalesce(back.change, 0) <> 0
      AND r.transfer_id IS DISTINCT FROM t.id
"""
_REVERSED_USE = """
    SELECT 'use ' || r.id || ' costs ' || r.cost || ', but its transfer ' || t.id || ' was reversed'
    FROM ledger_transfer_facts b
    JOIN ledger_transfer_facts t ON t.id = b.reverses AND t.cause_type = 'use'
    JOIN counter_servicerecord r ON r.id = t.cause_id::bigint AND r.transfer_id = t.id
    WHERE b.id > %(transfer)s AND b.reverses IS NOT NULL AND r.state = 'ended' AND r.cost > 0
"""


def use_findings(*, repriced_max: int | None = REPRICED_MAX) -> Iterable[Finding]:
    """Invariants 7 and 8 for uses; `repriced_max` None asks the price of every use again."""
    floors = {"record": _covered("counter_servicerecord"), "transfer": _covered("ledger_transfer")}
    examples: list[str] = []
    breaches = 0
    for query in (_USE_HAS_ITS_TRANSFER, _TRANSFER_HAS_ITS_USE, _REVERSED_USE):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) OVER (), found.* FROM ({query}) found LIMIT {EXAMPLES_MAX}", floors)  # noqa: S608  constants
            rows = cursor.fetchall()
        breaches += rows[0][0] if rows else 0
        examples += [row[1] for row in rows]
    yield Finding(CHARGED, breaches, tuple(examples[:EXAMPLES_MAX]))
    wrong = _priced_otherwise(floors["record"], repriced_max)
    shown = list(islice(wrong, EXAMPLES_MAX))
    yield Finding(REPRICED, len(shown) + sum(1 for _more in wrong), tuple(shown))


def _covered(table: str) -> int:
    """The newest row that an earlier clean run has looked at; 0 when everything is to be looked at."""
    instant = since()
    if instant is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} WHERE created_at < %s ORDER BY id DESC LIMIT 1", [instant])  # noqa: S608  one of two names
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _priced_otherwise(floor: int, at_most: int | None) -> Iterator[str]:
    """Uses whose stored question has another price now, by the same versions."""
    rows = ServiceRecord.objects.filter(state=ServiceRecord.State.ENDED, pk__gt=floor).order_by("-pk").values_list(
        "pk", "start_at", "finish_at", "content", "explanation", "cost"
    )  # fmt: skip
    for record_id, start, finish, content, explanation, cost in rows[:at_most].iterator():
        assert finish is not None  # a column of every ended use
        try:
            again = cost_again(StoredUse(start, finish, content, explanation))
        except PricingError as refused:
            yield f"use {record_id} costs {cost}, its versions say {refused.code}"
            continue
        if again is not None and again != cost:
            yield f"use {record_id} costs {cost}, its versions say {again}"


def cards(caller: Caller) -> list[Card]:
    """Default rates of today and uses that are open, for those who may see them."""
    if not READERS & caller.roles:
        return []
    now = clock.now()
    notices = DefaultRateNotice.objects.filter(day=day_of(now))[:COUNTED_MAX]
    by_default = sum(notices.values_list("uses", flat=True))
    started = ServiceRecord.objects.filter(state=ServiceRecord.State.STARTED)
    overdue = started.filter(expires_at__lt=now)[:COUNTED_MAX].count()
    return [
        Card(
            "default_rate", _("Default rate used today"), str(by_default), alarm=by_default > 0,
            href=reverse("admin:counter_defaultratenotice_changelist"),
        ),
        Card(
            "open_uses", _("Uses going on"), str(started[:COUNTED_MAX].count()), alarm=overdue > 0,
            note=_("%(count)d are overdue") % {"count": overdue} if overdue else "",
            href=f"{reverse('admin:counter_servicerecord_changelist')}?state__exact=started",
        ),
    ]  # fmt: skip
