"""Package units (套餐量): granted by orders, reserved when a use starts, drawn before money when it ends.

Units are uses or minutes of a meter; a started minute is a whole one. Earliest expiry is drawn first, only inside the
pack's period. Functions join the caller's transaction; packs are locked in id order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Q

from billing_platform.arrays import numbers_array, texts_array
from counter.errors import IdempotencyConflict
from counter.models import PackDraw, UnitPack

ZERO = Decimal(0)
MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Drawn:
    """Units taken for a use: as `seconds` from its beginning, or as `uses` of its count."""

    units: Decimal
    seconds: int
    uses: int
    parts: tuple[tuple[int, Decimal], ...]  # (pack, units)


NOTHING = Drawn(ZERO, 0, 0, ())


def find_meters_with_units(pairs: Iterable[tuple[int, str]], *, at: datetime) -> set[tuple[int, str]]:
    """Those (account, meter) that have units left for uses since `at`; the others never touch this table."""
    wanted = list(set(pairs))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT account_id, meter FROM counter_unitpack
            JOIN unnest(%s::bigint[], %s::text[]) AS t(account_id, meter) USING (account_id, meter)
            WHERE remaining > 0 AND valid_to > %s
            """,
            [numbers_array(pair[0] for pair in wanted), texts_array(pair[1] for pair in wanted), at],
        )
        return {(row[0], row[1]) for row in cursor.fetchall()}


def free_units(account_id: int, meter: str, *, at: datetime) -> Drawn:
    """What could be reserved now; nothing is locked."""
    rows = UnitPack.objects.filter(
        account_id=account_id, meter=meter, valid_from__lte=at, valid_to__gt=at, remaining__gt=0
    )
    return _drawn([(pack, pack.remaining - pack.reserved) for pack in rows if pack.remaining > pack.reserved])


def find_drawing(record_ids: Sequence[int]) -> set[int]:
    """Those of the records that reserve units or drew some."""
    if not record_ids:
        return set()
    return set(PackDraw.objects.filter(record_id__in=record_ids).values_list("record_id", flat=True))


class PackTable:
    """The locked packs of a batch; units are moved in memory and saved once."""

    def __init__(self, meters: set[tuple[int, str]], record_ids: Iterable[int], *, at: datetime) -> None:
        """Packs of these (account, meter) with units for uses since `at`, and those that the records drew from."""
        self._draws: dict[int, list[PackDraw]] = {}
        for draw in PackDraw.objects.filter(record_id__in=list(record_ids)):
            self._draws.setdefault(draw.record_id, []).append(draw)
        accounts, labels = {account for account, _ in meters}, {meter for _, meter in meters}
        rows = UnitPack.objects.filter(
            Q(account_id__in=accounts, meter__in=labels, remaining__gt=0, valid_to__gt=at)
            | Q(pk__in={draw.pack_id for draws in self._draws.values() for draw in draws})
        )
        self._packs = {pack.pk: pack for pack in rows.select_for_update().order_by("pk")}
        self._returned: list[int] = []

    def give_back(self, record_id: int) -> None:
        """What the use reserved when it started, or drew for a charge that is replaced; a pack keeps its own expiry."""
        for draw in self._draws.pop(record_id, []):
            pack = self._packs[draw.pack_id]
            if draw.drawn:
                pack.remaining += draw.units
            else:
                pack.reserved -= draw.units
            self._returned.append(draw.pk)

    def take(self, account_id: int, meter: str, *, at: datetime, minutes: int, uses: int) -> Drawn:
        """Draw units for a use that began at `at`: what there is, at most what is asked."""
        parts = self._parts(account_id, meter, at=at, minutes=minutes, uses=uses)
        for pack, units in parts:
            pack.remaining -= units
        return _drawn(parts)

    def reserve(self, account_id: int, meter: str, *, at: datetime, minutes: int, uses: int) -> Drawn:
        """Set units aside for a use that begins; it may end up needing fewer."""
        parts = self._parts(account_id, meter, at=at, minutes=minutes, uses=uses)
        for pack, units in parts:
            pack.reserved += units
        return _drawn(parts)

    def save(self) -> None:
        """Write what changed."""
        UnitPack.objects.bulk_update(self._packs.values(), ["remaining", "reserved"])
        if self._returned:
            PackDraw.objects.filter(pk__in=self._returned).delete()

    def _parts(
        self, account_id: int, meter: str, *, at: datetime, minutes: int, uses: int
    ) -> list[tuple[UnitPack, Decimal]]:
        wanted = {UnitPack.Unit.MINUTE: Decimal(minutes), UnitPack.Unit.USE: Decimal(uses)}
        parts = []
        for pack in sorted(self._packs.values(), key=lambda pack: (pack.valid_to, pack.pk)):
            if (pack.account_id, pack.meter) == (account_id, meter) and pack.valid_from <= at < pack.valid_to:
                unit = UnitPack.Unit(pack.unit)
                units = min(wanted[unit], pack.remaining - pack.reserved)
                if units > 0:
                    wanted[unit] -= units
                    parts.append((pack, units))
        return parts


def _drawn(parts: list[tuple[UnitPack, Decimal]]) -> Drawn:
    minutes = sum((units for pack, units in parts if pack.unit == UnitPack.Unit.MINUTE), ZERO)
    uses = sum((units for pack, units in parts if pack.unit == UnitPack.Unit.USE), ZERO)
    if not parts:
        return NOTHING
    return Drawn(
        minutes + uses, int(minutes * MINUTE_SECONDS), int(uses), tuple((pack.pk, units) for pack, units in parts)
    )


def note_draws(draws: Iterable[tuple[int, Drawn]]) -> None:
    """The rows behind what uses (by record) drew."""
    PackDraw.objects.bulk_create(
        [
            PackDraw(record_id=record_id, pack_id=pack_id, units=units, drawn=True)
            for record_id, drawn in draws
            for pack_id, units in drawn.parts
        ]
    )


def note_reservation(record_id: int, reserved: Drawn) -> None:
    """The rows behind what a started use reserved."""
    PackDraw.objects.bulk_create(
        [PackDraw(record_id=record_id, pack_id=pack_id, units=units, drawn=False) for pack_id, units in reserved.parts]
    )


def free_reservations(record_ids: Sequence[int], *, at: datetime) -> None:
    """Give back what uses had reserved that were cancelled or expired."""
    drawing = find_drawing(record_ids)
    if not drawing:
        return
    table = PackTable(set(), drawing, at=at)
    for record_id in drawing:
        table.give_back(record_id)
    table.save()


def grant_units(  # noqa: PLR0913  the columns of a pack
    account_id: int, *, meter: str, unit: str, units: Decimal, valid_from: datetime, valid_to: datetime, source: str
) -> int:
    """A pack for an account; the same source again is the same pack. Raises IdempotencyConflict on other terms."""
    pack, created = UnitPack.objects.get_or_create(
        account_id=account_id, meter=meter, source=source,
        defaults={
            "unit": UnitPack.Unit(unit), "granted": units, "remaining": units, "valid_from": valid_from,
            "valid_to": valid_to,
        },
    )  # fmt: skip
    if not created and (pack.unit, pack.granted, pack.valid_from, pack.valid_to) != (unit, units, valid_from, valid_to):
        raise IdempotencyConflict("the source granted other units before")
    return pack.pk
