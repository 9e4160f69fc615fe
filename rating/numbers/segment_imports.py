"""Segments and ported numbers from CSV files: a million rows are one COPY, compared with what is stored as a set.

Preview and import count with the same statements. Rows that are not listed stay; a number that moves on gets another
row, whose period begins later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice

from django.db import connection, transaction

from billing_platform.auth import Caller
from billing_platform.copying import copy_rows
from billing_platform.trail import record_act
from rating.calendar import ZONE
from rating.errors import ImportRefused
from rating.explaining.reading import read_instant
from rating.formats.fields import RowError
from rating.importing.table_file import TableRow, table_rows
from rating.models import Carrier
from rating.numbers import dialling
from rating.numbers.ported import SOURCE as PORTED
from rating.segments import Kind, NumberContext, read_number

COLUMNS = ("number", "carrier", "valid_from", "valid_to", "kind", "area", "city_zh", "city_en")
PORTABLE = frozenset({Kind.MOBILE, Kind.FIXED})
KINDS = frozenset(kind.value for kind in Kind if kind not in (Kind.HIDDEN, Kind.INVALID))
ROWS_MAX = 2_000_000
ROWS_AT_ONCE = 20_000
ERRORS_KEPT = 10_000
KEY_MAX, AREA_MAX, CITY_MAX, SOURCE_MAX = 20, 4, 60, 40
STAGED = ("row", "prefix", "carrier_id", "kind", "area", "city_zh", "city_en", "valid_from", "valid_to")

Staged = tuple[int, str, int, str, str, str, str, datetime | None, datetime | None]

_STAGE = """
CREATE TEMPORARY TABLE segment_import (
    row integer, prefix text, carrier_id bigint, kind text, area text, city_zh text, city_en text,
    valid_from timestamptz, valid_to timestamptz
) ON COMMIT DROP
"""
_DUPLICATES = """
DELETE FROM segment_import USING (
    SELECT row, row_number() OVER (PARTITION BY prefix, valid_from ORDER BY row) AS place FROM segment_import) again
 WHERE segment_import.row = again.row AND again.place > 1 RETURNING segment_import.row, segment_import.prefix
"""
_SAME_ROW = "s.prefix = n.prefix AND s.source = %(source)s AND s.valid_from IS NOT DISTINCT FROM n.valid_from"
_SAME_CONTENT = """
(s.carrier_id, s.kind, s.area, s.city_zh, s.city_en, s.valid_to)
    IS NOT DISTINCT FROM (n.carrier_id, n.kind, n.area, n.city_zh, n.city_en, n.valid_to)
"""
_COUNT = f"""
SELECT count(*) FILTER (WHERE s.id IS NULL), count(*) FILTER (WHERE s.id IS NOT NULL AND NOT ({_SAME_CONTENT})),
       count(*) FILTER (WHERE s.id IS NOT NULL AND {_SAME_CONTENT})
  FROM segment_import n LEFT JOIN rating_numbersegment s ON {_SAME_ROW}
"""  # noqa: S608  our own texts
_CHANGE = f"""
UPDATE rating_numbersegment s
   SET carrier_id = n.carrier_id, kind = n.kind, area = n.area, city_zh = n.city_zh, city_en = n.city_en,
       valid_to = n.valid_to
  FROM segment_import n WHERE {_SAME_ROW} AND NOT ({_SAME_CONTENT})
"""  # noqa: S608  our own texts
_CREATE = f"""
INSERT INTO rating_numbersegment
       (prefix, carrier_id, kind, area, city_zh, city_en, source, confidence, valid_from, valid_to)
SELECT n.prefix, n.carrier_id, n.kind, n.area, n.city_zh, n.city_en, %(source)s, 'high', n.valid_from, n.valid_to
  FROM segment_import n WHERE NOT EXISTS (SELECT FROM rating_numbersegment s WHERE {_SAME_ROW})
 ORDER BY n.row
"""  # noqa: S608  our own texts


@dataclass(slots=True)
class SegmentCounts:
    """What a file changes, or changed: read = created + changed + same + error. The first ERRORS_KEPT errors."""

    read: int = 0
    created: int = 0
    changed: int = 0
    same: int = 0
    error: int = 0
    errors: list[RowError] = field(default_factory=list)

    def refuse(self, error: RowError) -> None:
        """Count a row that cannot be used."""
        self.error += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(error)


def preview_segments(lines: Iterable[str], *, source: str = PORTED) -> SegmentCounts:
    """What the file would change; nothing stays behind."""
    with transaction.atomic():  # the temporary table lives as long as the transaction
        counts = _staged(lines, source)
        transaction.set_rollback(True)
    return counts


@transaction.atomic(durable=True)  # all rows of the file and who brought them, or none
def import_segments(
    lines: Iterable[str], *, caller: Caller, source: str = PORTED, file_name: str = "", skip_errors: bool = False
) -> SegmentCounts:
    """Write the file's rows. Raises ImportRefused when some have errors, unless these are to be left out."""
    counts = _staged(lines, source)
    if counts.error and not skip_errors:
        raise ImportRefused(error_count=counts.error, errors=[error._asdict() for error in counts.errors[:20]])
    with connection.cursor() as cursor:
        if counts.changed:
            cursor.execute(_CHANGE, {"source": source})
        if counts.created:
            cursor.execute(_CREATE, {"source": source})
    after = {name: getattr(counts, name) for name in ("read", "created", "changed", "same", "error")}
    record_act(caller, "numbersegment.import", target=("numbersegment", source), change=(None, after), reason=file_name)
    return counts


def _staged(lines: Iterable[str], source: str) -> SegmentCounts:
    """Bring the rows into a temporary table and compare them with what is stored."""
    counts = SegmentCounts()
    rows = _read(lines, _RowReader(source), counts)
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            copy_rows("segment_import", STAGED, chunk)
        cursor.execute(_DUPLICATES)
        for row, prefix in sorted(cursor.fetchall()):
            counts.refuse(RowError(row, "number", prefix, "E_DUPLICATE"))
        cursor.execute("ANALYZE segment_import")
        cursor.execute(_COUNT, {"source": source})
        counts.created, counts.changed, counts.same = cursor.fetchone()
    return counts


def _read(lines: Iterable[str], reader: "_RowReader", counts: SegmentCounts) -> Iterator[Staged]:
    """The rows that can be used; the others are counted."""
    for row in table_rows(lines, columns=COLUMNS, required=COLUMNS[:2]):
        counts.read += 1
        if counts.read > ROWS_MAX:
            counts.refuse(RowError(counts.read, "", str(ROWS_MAX), "E_LIMIT"))
            return
        if isinstance(row, RowError):
            counts.refuse(row)
            continue
        try:
            yield reader.staged(row)
        except _CellRefused as refused:
            counts.refuse(refused.error)


class _CellRefused(ValueError):
    def __init__(self, row: TableRow, column: str, code: str) -> None:
        super().__init__(code)
        self.error = RowError(row.number, column, row.cells[column], code)


class _RowReader:
    """Reads the cells of rows of one source: whole numbers of ported ones, else beginnings of keys."""

    def __init__(self, source: str) -> None:
        if not 0 < len(source) <= SOURCE_MAX:
            raise ImportRefused(source=source)
        self._ported = source == PORTED
        self._carriers = dict(Carrier.objects.values_list("code", "id"))
        self._context: NumberContext = dialling.anywhere()

    def staged(self, row: TableRow) -> Staged:
        """Raises _CellRefused."""
        cells = row.cells
        prefix, kind = self._number(row) if self._ported else self._prefix(row)
        carrier_id = self._carriers.get(cells["carrier"])
        if carrier_id is None:
            raise _CellRefused(row, "carrier", "E_CARRIER")
        if len(cells["area"]) > AREA_MAX or max(len(cells["city_zh"]), len(cells["city_en"])) > CITY_MAX:
            raise _CellRefused(row, "city_zh", "E_LIMIT")
        begins, ends = _instant(row, "valid_from"), _instant(row, "valid_to")
        if begins and ends and ends <= begins:
            raise _CellRefused(row, "valid_to", "E_DATE")
        places = cells["area"], cells["city_zh"], cells["city_en"]
        return row.number, prefix, carrier_id, kind, *places, begins, ends

    def _number(self, row: TableRow) -> tuple[str, str]:
        number = read_number(row.cells["number"], self._context)
        if number.kind not in PORTABLE or number.extension:
            raise _CellRefused(row, "number", "E_PREFIX")
        return number.key, number.kind.value

    def _prefix(self, row: TableRow) -> tuple[str, str]:
        prefix, kind = row.cells["number"], row.cells["kind"] or Kind.MOBILE.value
        if not (prefix.isascii() and prefix.replace(".", "", 1).isdigit() and len(prefix) <= KEY_MAX):
            raise _CellRefused(row, "number", "E_PREFIX")
        if kind not in KINDS:
            raise _CellRefused(row, "kind", "E_UNIT")
        return prefix, kind


def _instant(row: TableRow, column: str) -> datetime | None:
    """A day begins at midnight in China; a time has its offset."""
    text = row.cells[column]
    if not text:
        return None
    try:
        if len(text) == len("2026-10-01"):
            return datetime.combine(date.fromisoformat(text), time(), ZONE)
        return read_instant(text)
    except ValueError:
        raise _CellRefused(row, column, "E_DATE") from None
