"""Any table with a header in its first twenty rows: titles are found through a table of aliases."""

import re
from collections.abc import Iterator, Mapping

from rating.formats.deck_file import DeckFile
from rating.formats.fields import COLUMNS
from rating.formats.layout import REQUIRED, Layout, columns_of, find_layout, folded, named_rows
from rating.formats.table import FileRefused, Table
from rating.formats.template import MINUTE, SECOND, FileTemplate

NAME = "headers"
MANY_SHEETS = False
ALIASES: Mapping[str, tuple[str, ...]] = {
    "prefix": (
        "prefix", "code", "codes", "dial code", "dialcode", "dialprefix", "dial prefix", "dst code",
        "destination code", "area code", "digits", "pattern", "number prefix", "npanxx", "npa nxx",
        "前缀", "号码前缀", "被叫前缀", "地区前缀", "区号",
    ),
    "country_code": ("country code", "country prefix", "cc", "国家码"),
    "destination": (
        "destination", "dest", "destination name", "description", "code name", "target pattern name", "name",
        "country", "region", "目的地", "地区", "地区名称", "备注",
    ),
    "rate": (
        "rate", "price", "rate/min", "rate per minute", "cost / min", "per minute cost", "per minute charge",
        "rateinitial", "selling rate", "sell price", "sell", "rate cost", "ratevalue", "interrate", "next rate",
        "next price", "费率", "单价", "每分钟费率", "计费费率",
    ),
    "first_rate": ("initial rate", "first price"),
    "cost_rate": ("buyrate", "buy rate", "buy price", "cost rate", "internal rate cost", "pvt rate cost", "成本价"),
    "connect_fee": (
        "connect fee", "connection cost", "connection charge", "connectcharge", "connectfee", "rate surcharge",
        "surcharge", "setup fee", "接续费", "起步费",
    ),
    "first_increment": (
        "initial increment", "initial interval", "first interval", "initblock", "min", "minimum", "min volume",
        "minimal time", "rate minimum", "duration", "首次时长", "最低计费时长",
    ),
    "next_increment": (
        "increment", "interval", "next interval", "billing block", "billingblock", "rate increment", "charge period",
        "pulse", "block min duration", "计费周期", "计费单位",
    ),
    "increments": ("billing increment", "increments"),
    "free_seconds": (
        "grace", "grace time", "grace volume", "included seconds", "includedseconds", "rate nocharge time",
    ),
    "min_charge": ("minimal cost", "minimum charge", "最低消费"),
    "currency": ("currency", "ccy", "币种"),
    "effective_from": (
        "effective date", "effective from", "valid from", "start date", "startdate", "activation time",
        "active from", "生效日期", "生效时间",
    ),
    "effective_to": ("end date", "stopdate", "valid till", "expires", "discontinued", "失效日期"),
    "change": ("status", "change", "prev diff status"),
    "priority": ("priority", "weight", "precedence"),
    "carrier": ("carrier", "运营商"),
    "reach": ("reach", "通话类型"),
    "band": ("time profile", "band", "时段"),
    "blocked": ("blocked", "禁拨"),
}  # fmt: skip
_COLUMNS = {folded(name): name for name in COLUMNS} | columns_of(ALIASES)
_INCREMENTS = re.compile(r"\s*[/+]\s*")
_UNIT_SECONDS = {MINUTE: "60", SECOND: "1"}


def detect(head: list[list[str]]) -> int:
    """How surely the rows belong to this format: 0 is not at all, 100 beyond doubt."""
    return 50 if any({_COLUMNS.get(folded(cell)) for cell in cells}.issuperset(REQUIRED) for cells in head) else 0


def columns() -> Mapping[str, str]:
    """The fields by their titles, folded as titles are compared."""
    return _COLUMNS


def layout(table: Table, template: FileTemplate) -> Layout:
    """Where the columns are. Raises FileRefused E_HEADER."""
    return find_layout(table, _COLUMNS, template)


def rows(table: Table, template: FileTemplate, file: DeckFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by field. Raises FileRefused E_HEADER, E_UNIT (nobody says what a rate is for)."""
    return priced_rows(table, layout(table, template), template, file)


def priced_rows(
    table: Table, found: Layout, template: FileTemplate, file: DeckFile, *, unit: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with both increments and the unit of the rate in cells of their own.

    The unit is the template's, else that of the titles, else `unit`, which all files of a format share.
    """
    unit = template.rate_unit or found.unit or unit
    targets = found.targets.values()
    if not unit and "rate_unit" not in targets:
        raise FileRefused("E_UNIT", "rate", row=found.row, column="header")
    if found.currency and "currency" not in targets:
        tell_currency(file, found.currency, row=found.row)
    for number, cells in named_rows(table, found, template, file):
        if "increments" in cells:
            _split_increments(cells)
        if unit:
            cells.setdefault("rate_unit", _UNIT_SECONDS.get(unit) or cells.get("next_increment") or "60")
        yield number, cells


def tell_currency(file: DeckFile, currency: str, *, row: int) -> None:
    """Note the file's currency. Raises FileRefused E_CURRENCY when it was said to be another one."""
    if file.head.setdefault("currency", currency) != currency:
        raise FileRefused("E_CURRENCY", currency, row=row, column="header")


def _split_increments(cells: dict[str, str]) -> None:
    """`60/6`, `30+6`, or with the grace behind them `60/60/0`. What is written otherwise is no increment."""
    text = cells.pop("increments")
    parts = _INCREMENTS.split(text) if text else []
    if len(parts) in (2, 3):
        cells["first_increment"], cells["next_increment"] = parts[:2]
    elif parts:
        cells["first_increment"] = text
    if len(parts) == 3:
        cells["free_seconds"] = parts[2]
