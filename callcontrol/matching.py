"""Our calls as the room of call records asks for them: whose call was this, and what became of it. Set-based.

Face for floor 4: find_calls, note_records (each with its single form), calls_without_record.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from billing_platform import clock
from callcontrol import outages
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import OVER, RANKS, State
from callcontrol.slots import free_slots

AROUND = timedelta(minutes=5)  # between our clock and a platform's, for calls named by numbers and time only
LIMIT_MAX = 500


@dataclass(frozen=True, slots=True)
class CallSought:
    """How a record names a call, as far as it does; keys are normalised numbers, `around` the start."""

    provider: str
    reference: str = ""
    provider_call_id: str = ""
    agent_key: str = ""
    customer_key: str = ""
    around: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A call that we placed. `call_id` is also the key of its charge; `user_id` the agent's person, None for none."""

    call_id: str
    organization: str
    application: str
    user_id: int | None
    agent_number: str
    customer_number: str
    display_number: str
    call_type: str
    accno: str
    label: str
    provider: str
    provider_call_id: str
    max_seconds: int
    ring_timeout: int
    state: str
    hold_expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecordNote:
    """What a call record says about a call. Instants; seconds; `cost` in `currency`, None until it is charged."""

    call_id: str
    record_id: str
    answered: bool
    start: datetime | None = None
    answer: datetime | None = None
    end: datetime | None = None
    billable_seconds: int = 0
    cause: str = ""
    cost: Decimal | None = None
    currency: str = ""


def find_call(sought: CallSought) -> PlacedCall | None:
    """A batch of one."""
    return find_calls([sought])[0]


def find_calls(sought: Sequence[CallSought]) -> list[PlacedCall | None]:
    """Our call behind each name: by our id, else by the platform's, else by numbers and time when only one fits.

    Same length and order as asked. A call belongs to its platform: another's records do not find it.
    """
    if not sought:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_FIND, _columns([asdict(one) for one in sought]) | {"leeway": AROUND})
        found = {position: PlacedCall(*facts) for position, *facts in cursor.fetchall()}
    return [found.get(position) for position in range(1, len(sought) + 1)]


def note_record(note: RecordNote) -> bool:
    """A batch of one; False when there is no such call."""
    return note_records([note]) == 1


@transaction.atomic  # result, state, slots and history of the calls move together, with the caller's own rows
def note_records(notes: Sequence[RecordNote]) -> int:
    """Write what the records say onto their calls; how many calls there were. The last note of a call counts.

    A talk wins over everything that was believed: the call has ended. Without one it ends as asked: cancelled after a
    cancel, else ended; a state that is final already stays.
    """
    by_call = {note.call_id: note for note in notes}
    if not by_call:
        return 0
    at = clock.now()
    rows = [asdict(by_call[call_id]) for call_id in sorted(by_call)]
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, _columns(rows) | {"at": at})
        moved = cursor.fetchall()
    over = [row for row in moved if row[4] < OVER]
    free_slots((organization, agent) for _id, organization, agent, *_rest in over)
    for policy_id in [row[3] for row in over if row[3] is not None]:
        outages.give_back(policy_id, uses=1)
    _write_histories(moved, {note.call_id: note for note in notes}, at=at)
    return len(moved)


def calls_without_record(*, limit: int = LIMIT_MAX) -> list[str]:
    """Ids of calls that ended long ago and whose record nobody has seen: pull them where the platform offers that."""
    rows = Callback.objects.filter(review="no_record", recorded_at__isnull=True).order_by("ended_at")
    return list(rows.values_list("reference", flat=True)[: min(limit, LIMIT_MAX)])


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows as one array a field, for unnest."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def _write_histories(moved: Sequence[tuple[Any, ...]], notes: dict[str, RecordNote], *, at: datetime) -> None:
    events = []
    for call_id, _organization, _agent, _policy, before, reference, state in moved:
        note = notes[reference]
        events.append(
            CallbackEvent(
                callback_id=call_id, source=CallbackEvent.Source.RECORD, provider_call_id=reference,
                identity=f"record:{note.record_id}:{at.isoformat()}", state=state, raised=before != RANKS[State(state)],
                detail=note.cause, at=note.end or at, received_at=at,
            )
        )  # fmt: skip
    CallbackEvent.objects.bulk_create(events, ignore_conflicts=True)


_FACTS = """
    call.reference, call.organization, call.application, agent.user_id, call.agent_number, call.customer_number,
    call.display_to_customer, call.call_type, call.accno, call.label, call.provider,
    COALESCE(call.provider_call_id, ''), COALESCE(call.max_seconds, 0), call.ring_timeout, call.state,
    call.hold_expires_at, call.created_at
"""

_FIND = f"""
WITH sought AS (
    SELECT * FROM unnest(
        %(provider)s::text[], %(reference)s::text[], %(provider_call_id)s::text[], %(agent_key)s::text[],
        %(customer_key)s::text[], %(around)s::timestamptz[]
    ) WITH ORDINALITY AS named (provider, reference, provider_call_id, agent_key, customer_key, around, position)),
matched AS (
    SELECT sought.position, COALESCE(by_reference.id, by_platform.id, by_numbers.id) AS call_id
      FROM sought
      LEFT JOIN callcontrol_callback by_reference
             ON by_reference.reference = sought.reference AND by_reference.provider = sought.provider
      LEFT JOIN callcontrol_callback by_platform
             ON by_platform.provider = sought.provider AND by_platform.provider_call_id = sought.provider_call_id
            AND sought.provider_call_id <> ''
      LEFT JOIN LATERAL (
            SELECT min(near.id) AS id FROM callcontrol_callback near
             WHERE sought.agent_key <> '' AND near.customer_key = sought.customer_key
               AND near.agent_key = sought.agent_key AND near.provider = sought.provider
               AND near.created_at BETWEEN sought.around - %(leeway)s AND sought.around + %(leeway)s
            HAVING count(*) = 1) by_numbers ON by_reference.id IS NULL AND by_platform.id IS NULL)
SELECT matched.position, {_FACTS}
  FROM matched JOIN callcontrol_callback call ON call.id = matched.call_id
  LEFT JOIN callcontrol_agent agent ON agent.id = call.agent_id
"""  # noqa: S608  constant columns

_NOTE = """
WITH noted AS (
    SELECT * FROM unnest(
        %(call_id)s::text[], %(record_id)s::text[], %(answered)s::bool[], %(answer)s::timestamptz[],
        %(end)s::timestamptz[], %(billable_seconds)s::int[], %(cause)s::text[], %(cost)s::numeric[],
        %(currency)s::text[]
    ) AS note (call_id, record_id, answered, answer, end_at, billable_seconds, cause, cost, currency)),
locked AS (
    SELECT call.id, call.rank, call.state, noted.* FROM callcontrol_callback call
      JOIN noted ON noted.call_id = call.reference ORDER BY call.id FOR UPDATE OF call)
UPDATE callcontrol_callback call
   SET state = CASE WHEN locked.answered THEN 'ended'
                    WHEN locked.rank >= 100 THEN locked.state
                    WHEN call.cancel_policy <> '' THEN 'cancelled' ELSE 'ended' END,
       record_id = locked.record_id, recorded_at = %(at)s, updated_at = %(at)s, next_ask_at = NULL,
       review = CASE WHEN locked.answered AND locked.state IN ('expired', 'failed', 'cancelled')
                     THEN 'late_record' ELSE '' END,
       answered_at = COALESCE(locked.answer, CASE WHEN locked.answered THEN call.answered_at END),
       ended_at = COALESCE(locked.end_at, call.ended_at, %(at)s),
       billable_seconds = locked.billable_seconds, cause = locked.cause,
       cost = COALESCE(locked.cost, call.cost),
       currency = CASE WHEN locked.currency <> '' THEN locked.currency ELSE call.currency END
  FROM locked WHERE call.id = locked.id
RETURNING call.id, call.organization, call.agent_key, call.unchecked_policy_id, locked.rank, call.reference, call.state
"""
