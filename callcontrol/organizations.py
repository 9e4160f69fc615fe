"""What this room asks about organisations: who is inside whom, and in which zone they live. Kept for a minute."""

import time
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.db import connection

KEPT_SECONDS = 60.0
KEPT_MAX = 10_000
LEVELS_MAX = 16


@dataclass(frozen=True, slots=True)
class Place:
    """An organisation's zone and its codes upwards, itself first; nothing for an unknown one."""

    zone: ZoneInfo
    path: tuple[str, ...]


_known: dict[str, tuple[float, Place]] = {}


def zone_of(organization: str) -> ZoneInfo:
    """The zone in which its hours are judged."""
    return _place(organization).zone


def is_inside(organization: str, root: str) -> bool:
    """Is it the root organisation itself, or below it?"""
    return root in _place(organization).path


def forget() -> None:
    """Drop what this process remembers."""
    _known.clear()


def _place(organization: str) -> Place:
    kept = _known.get(organization)
    if kept is not None and kept[0] > time.monotonic():
        return kept[1]
    place = _read(organization)
    if len(_known) > KEPT_MAX:
        _known.clear()
    _known[organization] = time.monotonic() + KEPT_SECONDS, place
    return place


def _read(organization: str) -> Place:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE upwards (code, parent_code, zone, level) AS (
                SELECT code, parent_code, zone, 1 FROM counter_organization_facts WHERE code = %(code)s
                UNION ALL
                SELECT above.code, above.parent_code, above.zone, upwards.level + 1
                  FROM counter_organization_facts above JOIN upwards ON above.code = upwards.parent_code
                 WHERE upwards.level < %(levels)s)
            SELECT code, zone FROM upwards ORDER BY level
            """,
            {"code": organization, "levels": LEVELS_MAX},
        )
        rows = cursor.fetchall()
    zone = rows[0][1] if rows else "Asia/Shanghai"
    return Place(ZoneInfo(zone), tuple(code for code, _ in rows))
