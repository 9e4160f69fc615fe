"""Live calls of an organisation and of an agent: a place is taken and freed by one conditional statement each.

Only inside the transaction that begins or ends the call. Order of locks: the call, then the organisation, then agents.
"""

from collections import Counter
from collections.abc import Iterable

from django.db import connection

from callcontrol.errors import ConcurrencyLimit

RETRY_SECONDS = 15
ALL = ""  # the holder that stands for the whole organisation


def take_slot(organization: str, agent_key: str, *, organization_max: int, agent_max: int) -> None:
    """A place for one more live call. Raises ConcurrencyLimit; the caller's transaction then takes nothing."""
    for holder, most in ((ALL, organization_max), (agent_key, agent_max)):
        if not _take(organization, holder, most):
            raise ConcurrencyLimit(retry_after=RETRY_SECONDS, limit=most)


def free_slots(calls: Iterable[tuple[str, str]]) -> None:
    """The calls of these (organisation, agent's number) are over."""
    over = Counter((organization, holder) for organization, agent in calls for holder in (ALL, agent))
    if not over:
        return
    wanted = sorted(over)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH over AS (
                SELECT * FROM unnest(%(organizations)s::text[], %(holders)s::text[], %(calls)s::int[])
                    AS ended (organization, holder, calls)),
            locked AS (
                SELECT slot.id, over.calls FROM callcontrol_callslot slot
                  JOIN over USING (organization, holder) ORDER BY slot.organization, slot.holder FOR UPDATE OF slot)
            UPDATE callcontrol_callslot slot SET live = slot.live - locked.calls FROM locked WHERE slot.id = locked.id
            """,
            {
                "organizations": [organization for organization, _ in wanted],
                "holders": [holder for _, holder in wanted],
                "calls": [over[key] for key in wanted],
            },
        )


def _take(organization: str, holder: str, most: int) -> bool:
    if most < 1:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO callcontrol_callslot AS slot (organization, holder, live) VALUES (%s, %s, 1)
            ON CONFLICT (organization, holder) DO UPDATE SET live = slot.live + 1 WHERE slot.live < %s
            RETURNING live
            """,
            [organization, holder, most],
        )
        return cursor.fetchone() is not None
