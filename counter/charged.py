"""Charged uses as stored, read by the hundred thousand: in ranges of ids, as plain tuples, in flat memory."""

import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from django.db import connection

from billing_platform.errors import ValidationFailed
from counter.quotas import PLATFORM_ZONE
from ledger.accounts import find_accounts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANGE = 50_000  # ids that a process is given at once: what it answers is small beside them
PIECE = 10_000  # ids that are read at once
LATE = timedelta(days=2)  # a record exists at most so long before the start of its use: the longest hold, and a day
_UNESCAPED = {b"\\\\": b"\\", b"\\n": b"\n", b"\\t": b"\t", b"\\r": b"\r"}
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])").fullmatch
_ESCAPE = re.compile(rb"\\[\\ntr]")


class Named(msgspec.Struct, gc=False):
    """The number that a leg was priced by."""

    key: str = ""
    kind: str = ""
    carrier: str = ""
    carrier_from: str = ""
    reach: str = ""
    area: str = ""
    caller_area: str = ""
    dialled: str = ""


class Winner(msgspec.Struct, gc=False):
    """The rate of the first increment."""

    prefix: str = ""
    destination: str = ""


class Line(msgspec.Struct, gc=False):
    """A leg that was charged."""

    leg: str
    number: Named
    winner: Winner


class Why(msgspec.Struct, gc=False):
    """What re-pricing needs of an explanation; the rest is skipped unread."""

    mode: str
    lines: tuple[Line, ...] = ()
    answered: bool = True
    covered_seconds: int = 0
    covered_uses: int = 0
    rate_policy: str = ""
    error: dict[str, msgspec.Raw] | None = None


class Asked(msgspec.Struct, array_like=True, gc=False):
    """The content of a use, in the order of `CONTENT_FIELDS`; instants in microseconds."""

    accno: str
    label: str
    start_time: int | None
    finish_time: int | None
    count: int
    organization: str
    caller: str
    called: str
    call_type: str
    agent_answer_time: int | None
    answered: bool
    answer_basis: str
    trunk: str
    carrier: str

    @property
    def agent_answer(self) -> datetime | None:
        """When leg A was answered; None when nobody said."""
        microseconds = self.agent_answer_time
        return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)


class Charged(NamedTuple):
    """One charged use. Amounts in `currency`; `supplier_cost` None: nobody knows."""

    id: int
    item_id: int
    account_id: int
    start: datetime
    finish: datetime
    uses: int
    cost: Decimal
    currency: str
    supplier_cost: Decimal | None
    asked: Asked
    why: Why


_read_why = msgspec.json.Decoder(Why).decode
_read_asked = msgspec.json.Decoder(Asked).decode
_COLUMNS = (
    "r.id, r.item_id, r.account_id, r.start_at, r.finish_at, r.count, r.cost, r.currency, r.supplier_cost, r.content,"
    " r.explanation"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which charged uses. Those that began in [begins, ends); empty fields do not narrow.

    `organization`: whose accounts; `prefixes` are of numbers' keys, `carriers` those that were found when it was
    charged, `flags` its warnings, `uses` their ids.
    """

    begins: datetime
    ends: datetime
    organization: str = ""
    accounts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    deck_version: str = ""
    flags: tuple[str, ...] = ()
    uses: tuple[int, ...] = ()

    def admits(self, use: Charged) -> bool:
        """Do the conditions hold that only the explanation can tell?"""
        if not (self.prefixes or self.carriers):
            return True
        return any(
            (not self.prefixes or line.number.key.startswith(self.prefixes))
            and (not self.carriers or line.number.carrier in self.carriers)
            for line in use.why.lines
        )


def month_of(text: str, *, zone: ZoneInfo = PLATFORM_ZONE) -> Scope:
    """The uses that began in a month, `2026-10`. Raises ValidationFailed."""
    found = _MONTH(text)
    if found is None:
        raise ValidationFailed(errors={"period": "a month: 2026-10"})
    begins = datetime(int(found[1]), int(found[2]), 1, tzinfo=zone)
    return Scope(begins, (begins + timedelta(days=31)).replace(day=1))


def narrowed(scope: Scope, **conditions: object) -> Scope:
    """The scope with further conditions. Raises ValidationFailed for an account that the organisation has not."""
    found = replace(scope, **conditions)  # type: ignore[arg-type]  # named by the caller
    known = find_accounts(found.accounts).values() if found.accounts else ()
    missing = set(found.accounts) - {
        account.accno for account in known if found.organization in {"", account.organization}
    }
    if missing:
        raise ValidationFailed(errors={"account": f"unknown: {', '.join(sorted(missing))}"})
    return found


def id_ranges(scope: Scope) -> list[tuple[int, int]]:
    """Ranges [first, beyond) of ids that together hold every use of the scope."""
    if scope.uses:
        return [(use, use + 1) for use in sorted(set(scope.uses))]
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM counter_servicerecord")
        oldest, newest = cursor.fetchone()
    first = max(oldest, _first_created(scope.begins - LATE, oldest, newest) - RANGE)  # ids are not quite in order
    return [(begin, min(begin + RANGE, newest + 1)) for begin in range(first, newest + 1, RANGE)]


def _first_created(at: datetime, oldest: int, newest: int) -> int:
    """The id from which on records were created at or after an instant: ids follow the time, so it is searched for."""
    low, high = oldest, newest + 1
    while low < high:
        middle = (low + high) // 2
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT created_at < %s FROM counter_servicerecord WHERE id >= %s ORDER BY id LIMIT 1", [at, middle]
            )
            row = cursor.fetchone()
        if row is not None and row[0]:
            low = middle + 1
        else:
            high = middle
    return low


def read_charged(scope: Scope, first: int, beyond: int) -> Iterator[list[Charged]]:
    """The uses of the scope with ids in [first, beyond), by id, piece by piece."""
    for begin in range(first, beyond, PIECE):
        yield [use for use in _read_piece(scope, begin, min(begin + PIECE, beyond)) if scope.admits(use)]


def _read_piece(scope: Scope, first: int, beyond: int) -> Iterator[Charged]:
    conditions = "r.id >= %s AND r.id < %s AND r.start_at >= %s AND r.start_at < %s"
    values: list[object] = [first, beyond, scope.begins, scope.ends]
    narrowing: tuple[tuple[str, object], ...] = (
        ("r.account_id IN (SELECT id FROM ledger_account_facts WHERE organization = %s)", scope.organization),
        ("r.account_id IN (SELECT id FROM ledger_account_facts WHERE accno = ANY(%s))", list(scope.accounts)),
        ("%s = ANY(string_to_array(r.deck_version, ','))", scope.deck_version),
        ("string_to_array(r.warnings, ',') && %s::text[]", list(scope.flags)),
    )
    for condition, value in narrowing:
        if value:
            conditions += f" AND {condition}"
            values.append(value)
    return _copied(conditions, values)


def read_ids(ids: Collection[int]) -> list[Charged]:
    """The charged uses with these ids, by id."""
    return list(_copied("r.id = ANY(%s)", [list(ids)]))


def _copied(conditions: str, values: list[object]) -> Iterator[Charged]:
    """By COPY: half the work of a cursor, for us and for the server."""
    query = (
        f"COPY (SELECT {_COLUMNS} FROM counter_servicerecord r"  # noqa: S608  constants
        f" WHERE r.state = 'ended' AND {conditions} ORDER BY r.id) TO STDOUT"
    )
    target = io.BytesIO()
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(query, values).decode(), target)
    target.seek(0)
    return map(_read, target)


def _read(line: bytes) -> Charged:
    cells, fromisoformat = line[:-1].split(b"\t"), datetime.fromisoformat  # the connection's zone is UTC
    content, why = cells[9], cells[10]
    if b"\\" in content or b"\\" in why:
        content, why = _unescaped(content), _unescaped(why)
    supplier = cells[8]
    return Charged(
        int(cells[0]), int(cells[1]), int(cells[2]), fromisoformat(cells[3].decode()),
        fromisoformat(cells[4].decode()), int(cells[5]), Decimal(cells[6].decode()), cells[7].decode(),
        None if supplier == b"\\N" else Decimal(supplier.decode()), _read_asked(content), _read_why(why),
    )  # fmt: skip


def _unescaped(cell: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: _UNESCAPED[found[0]], cell)
