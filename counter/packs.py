"""Package units (套餐量): granted by orders, reserved when a use starts, drawn before money when it ends.

Units are uses or minutes of a meter; a started minute is a whole one. Earliest expiry is drawn first, only inside the
pack's period. Functions join the caller's transaction; packs are locked in id order.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

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
    """Those (account, meter) that have a pack with units left in its period; the others never touch this table."""
    wanted = list(set(pairs))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT account_id, meter FROM counter_unitpack
            JOIN unnest(%s::bigint[], %s::text[]) AS t(account_id, meter) USING (account_id, meter)
            WHERE remaining > 0 AND valid_to > %s
            """,
            [[pair[0] for pair in wanted], [pair[1] for pair in wanted], at],
        )
        return {(row[0], row[1]) for row in cursor.fetchall()}


def free_units(account_id: int, meter: str, *, at: datetime) -> Drawn:
    """What could be reserved now; nothing is locked."""
    rows = UnitPack.objects.filter(
        account_id=account_id, meter=meter, valid_from__lte=at, valid_to__gt=at, remaining__gt=0
    )
    return _drawn([(pack, pack.remaining - pack.reserved) for pack in rows if pack.remaining > pack.reserved])


class PackTable:
    """The locked packs of a batch; units are taken in memory and saved once."""

    def __init__(self, meters: set[tuple[int, str]], record_ids: Iterable[int]) -> None:
        rows = UnitPack.objects.filter(
            account_id__in={account for account, _ in meters}, meter__in={meter for _, meter in meters}
        )
        self._packs = list(rows.select_for_update().order_by("pk"))
        self._reserved: dict[int, list[PackDraw]] = {}
        for draw in PackDraw.objects.filter(record_id__in=list(record_ids), drawn=False):
            self._reserved.setdefault(draw.record_id, []).append(draw)

    def free(self, record_id: int) -> None:
        """Give back what the use reserved when it started."""
        by_id = {pack.pk: pack for pack in self._packs}
        for draw in self._reserved.pop(record_id, []):
            by_id[draw.pack_id].reserved -= draw.units

    def take(self, account_id: int, meter: str, *, at: datetime, seconds: int, uses: int) -> Drawn:
        """Draw units for a use of `seconds` (minute packs) or `uses` (use packs) that began at `at`."""
        parts = self._parts(account_id, meter, at=at, minutes=-(-seconds // MINUTE_SECONDS), uses=uses)
        for pack, units in parts:
            pack.remaining -= units
        return _drawn(parts)

    def reserve(self, account_id: int, meter: str, *, at: datetime, seconds: int, uses: int) -> Drawn:
        """Set units aside for a use that begins; a whole use may end up needing fewer."""
        parts = self._parts(account_id, meter, at=at, minutes=-(-seconds // MINUTE_SECONDS), uses=uses)
        for pack, units in parts:
            pack.reserved += units
        return _drawn(parts)

    def save(self) -> None:
        """Write what changed."""
        UnitPack.objects.bulk_update(self._packs, ["remaining", "reserved"])

    def _parts(
        self, account_id: int, meter: str, *, at: datetime, minutes: int, uses: int
    ) -> list[tuple[UnitPack, Decimal]]:
        wanted = {UnitPack.Unit.MINUTE: Decimal(minutes), UnitPack.Unit.USE: Decimal(uses)}
        parts = []
        for pack in sorted(self._packs, key=lambda pack: (pack.valid_to, pack.pk)):
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


def drop_reservations(record_ids: Iterable[int]) -> None:
    """Forget what these uses had reserved; PackTable.free has given it back."""
    PackDraw.objects.filter(record_id__in=list(record_ids), drawn=False).delete()


def note_reservation(record_id: int, reserved: Drawn) -> None:
    """The rows behind what a started use reserved."""
    PackDraw.objects.bulk_create(
        [PackDraw(record_id=record_id, pack_id=pack_id, units=units, drawn=False) for pack_id, units in reserved.parts]
    )


def free_reservations(record_ids: Iterable[int]) -> None:
    """Give back what ended uses had reserved (cancelled, expired)."""
    ids = list(record_ids)
    draws = list(PackDraw.objects.filter(record_id__in=ids, drawn=False).order_by("pack_id"))
    if not draws:
        return
    packs = {
        pack.pk: pack
        for pack in UnitPack.objects.filter(pk__in={draw.pack_id for draw in draws}).select_for_update().order_by("pk")
    }
    for draw in draws:
        packs[draw.pack_id].reserved -= draw.units
    UnitPack.objects.bulk_update(packs.values(), ["reserved"])
    PackDraw.objects.filter(pk__in=[draw.pk for draw in draws]).delete()


def give_back(record_id: int) -> None:
    """Return what a use drew, because its charge is replaced; the pack keeps its own expiry."""
    draws = list(PackDraw.objects.filter(record_id=record_id, drawn=True).order_by("pack_id"))
    packs = {
        pack.pk: pack
        for pack in UnitPack.objects.filter(pk__in={draw.pack_id for draw in draws}).select_for_update().order_by("pk")
    }
    for draw in draws:
        packs[draw.pack_id].remaining += draw.units
    UnitPack.objects.bulk_update(packs.values(), ["remaining"])
    PackDraw.objects.filter(pk__in=[draw.pk for draw in draws]).delete()


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
