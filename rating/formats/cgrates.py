"""A tariff plan as a folder of six CSV files, read by position into rates, bands and assignments.

    Destinations, Rates  →  DestinationRates
    Timings, DestinationRates  →  RatingPlans  →  RatingProfiles

Each file refers only to Ids of files before it; a reference to an Id that no row has is E_REF. Lines starting with `#`
are comments. A row that repeats an earlier one says nothing new (W_REDEFINED), nor does one that defines `*any` as it
is built in.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from itertools import count, pairwise
from math import lcm
from typing import NamedTuple, TypeVar

from rating.formats import plan_cells as cells
from rating.formats.fields import PRICE_MAX, TEXT_MAX, FieldRefused, ParsedRow, decimals
from rating.formats.plan_cells import ANY, LENGTH_MAX, SECOND
from rating.formats.text import tiers_text
from rating.terms import BandTerms, RateTerms, TierTerms

ROWS_MAX = 1_000_000  # of all files together, and of all decks that they make
ERRORS_KEPT = 10_000
DESTINATIONS, TIMINGS, RATES = "Destinations.csv", "Timings.csv", "Rates.csv"
DESTINATION_RATES, RATING_PLANS, RATING_PROFILES = "DestinationRates.csv", "RatingPlans.csv", "RatingProfiles.csv"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    DESTINATIONS: ("Id", "Prefix"),
    TIMINGS: ("Id", "Years", "Months", "MonthDays", "WeekDays", "Time"),
    RATES: ("Id", "ConnectFee", "Rate", "RateUnit", "RateIncrement", "GroupIntervalStart"),
    DESTINATION_RATES: (
        "Id", "DestinationId", "RatesTag", "RoundingMethod", "RoundingDecimals", "MaxCost", "MaxCostStrategy",
    ),
    RATING_PLANS: ("Id", "DestinationRatesId", "TimingTag", "Weight"),
    RATING_PROFILES: ("Tenant", "Category", "Subject", "ActivationTime", "RatingPlanId", "RatesFallbackSubject"),
}  # fmt: skip
BUILT_IN: Mapping[str, set[tuple[str, ...]]] = {
    DESTINATIONS: {(ANY, ""), (ANY, ANY)},
    TIMINGS: {(ANY, ANY, ANY, ANY, ANY, "00:00:00")},
}

Value = TypeVar("Value")


class PlanFault(NamedTuple):
    """A fault in a folder: the file, its line (0: the file as a whole), the column, the cell, and the code."""

    file: str
    line: int
    column: str
    value: str
    code: str


class _Refused(Exception):
    """A row that cannot be used."""

    def __init__(self, fault: PlanFault) -> None:
        super().__init__(fault)
        self.fault = fault


class PlanRow(NamedTuple):
    """A row of a file, read cell by cell; the first fault ends it."""

    file: str
    line: int
    cells: tuple[str, ...]

    def fault(self, column: str, code: str) -> PlanFault:
        """What is wrong with a cell."""
        return PlanFault(self.file, self.line, column, self._cell(column)[:200], code)

    def read(self, column: str, reader: Callable[[str], Value]) -> Value:
        """The cell's value, or the end of this row."""
        try:
            return reader(self._cell(column))
        except FieldRefused as refused:
            raise _Refused(self.fault(column, refused.code)) from refused

    def check(self, column: str, code: str, *, holds: bool) -> None:
        """End this row unless it holds."""
        if not holds:
            raise _Refused(self.fault(column, code))

    def _cell(self, column: str) -> str:
        place = COLUMNS[self.file].index(column)
        return self.cells[place] if place < len(self.cells) else ""


class RatesRow(NamedTuple):
    """A group interval: from `start` on, `rate` per `unit`, sold in steps of `increment`. Base units; unit 0: free."""

    row: PlanRow
    connect_fee: Decimal
    rate: Decimal
    unit: int
    increment: int
    start: int


class DestinationRate(NamedTuple):
    """What calls to a destination cost, without prefix, band and priority."""

    destination: str
    terms: RateTerms


class PlanEntry(NamedTuple):
    """Destination rates that count in a band, with a priority."""

    destination_rates: str
    timing: str
    weight: Decimal


class ProfileKey(NamedTuple):
    """Whose uses of what, from when on (None: always)."""

    tenant: str
    category: str
    subject: str
    active_from: datetime | None


class Profile(NamedTuple):
    """Which rating plan prices them; where it has no rate, the subjects to ask next, in order."""

    rating_plan: str
    fallback: tuple[str, ...]


@dataclass(slots=True)
class PlanFolder:
    """What the folder says, and everything that is wrong with it; `read` counts rows by file, `error` the bad ones."""

    sha256: str
    destinations: dict[str, list[str]] = field(default_factory=lambda: {ANY: [""]})
    timings: dict[str, BandTerms] = field(default_factory=lambda: {ANY: BandTerms(name=ANY)})
    rates: dict[str, list[RatesRow]] = field(default_factory=dict)
    rate_terms: dict[str, RateTerms] = field(default_factory=dict)
    destination_rates: dict[str, list[DestinationRate]] = field(default_factory=dict)
    rating_plans: dict[str, list[PlanEntry]] = field(default_factory=dict)
    profiles: dict[ProfileKey, Profile] = field(default_factory=dict)
    errors: list[PlanFault] = field(default_factory=list)
    warnings: list[PlanFault] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    error: int = 0
    rows: int = 0  # that the decks will have
    named: dict[str, set[str]] = field(default_factory=lambda: {DESTINATIONS: {ANY}, TIMINGS: {ANY}})

    def refuse(self, fault: PlanFault) -> None:
        """One more error; the first 10,000 are kept, all are counted."""
        self.error += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(fault)

    def warn(self, fault: PlanFault) -> None:
        """Something that a person should know; the first 10,000 are kept."""
        if len(self.warnings) < ERRORS_KEPT:
            self.warnings.append(fault)

    def bands_of(self, rating_plan: str) -> list[BandTerms]:
        """The bands that a rating plan uses, by name."""
        return [self.timings[name] for name in sorted({entry.timing for entry in self.rating_plans[rating_plan]})]

    def rows_of(self, rating_plan: str) -> Iterator[ParsedRow]:
        """The rows of a rating plan's deck: one per entry, destination rate and prefix."""
        number = count(1)
        for entry in self.rating_plans[rating_plan]:
            for destination, terms in self.destination_rates[entry.destination_rates]:
                shared = replace(terms, destination=destination, band=entry.timing, priority=entry.weight)
                for prefix in self.destinations[destination]:
                    yield ParsedRow(next(number), prefix, replace(shared, prefix=prefix))


ReadRow = Callable[[PlanFolder, PlanRow], None]


def parse(files: Mapping[str, bytes]) -> PlanFolder:
    """Read the folder's files by name. Never raises for their content; what is none of the six is W_UNMAPPED."""
    digest = sha256()
    for name in COLUMNS:
        digest.update(f"{name} {len(files.get(name, b''))}\n".encode() + files.get(name, b""))
    folder = PlanFolder(digest.hexdigest())
    for name, read in _READERS.items():
        _read_file(folder, name, files.get(name, b""), read)
        if name == RATES:
            _settle_rates(folder)
    for name in sorted(files.keys() - COLUMNS.keys()):
        folder.warn(PlanFault(name, 0, "", "", "W_UNMAPPED"))
    return folder


def _read_file(folder: PlanFolder, name: str, content: bytes, read: ReadRow) -> None:
    seen = set(BUILT_IN.get(name, ()))
    named = folder.named.setdefault(name, set())
    try:
        for row in _rows(name, content):
            folder.read[name] += 1
            row.check(COLUMNS[name][0], "E_LIMIT", holds=folder.read.total() <= ROWS_MAX)
            named.add(row.cells[0])
            _read_row(folder, row, seen, read)
    except _Refused as refused:  # the file as a whole
        folder.refuse(refused.fault)
    if not folder.read[name]:
        folder.warn(PlanFault(name, 0, "", "", "W_FILE_EMPTY"))


def _read_row(folder: PlanFolder, row: PlanRow, seen: set[tuple[str, ...]], read: ReadRow) -> None:
    if row.cells in seen:
        folder.warn(row.fault(COLUMNS[row.file][0], "W_REDEFINED"))
        return
    seen.add(row.cells)
    if len(row.cells) != len(COLUMNS[row.file]):
        folder.refuse(PlanFault(row.file, row.line, "", ",".join(row.cells)[:200], "E_COLUMNS"))
        return
    try:
        read(folder, row)
    except _Refused as refused:
        folder.refuse(refused.fault)


def _rows(name: str, content: bytes) -> Iterator[PlanRow]:
    """The rows of a file with their line numbers, without comments and blank lines."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as undecodable:
        raise _Refused(PlanFault(name, 0, "", f"byte {undecodable.start}", "E_ENCODING")) from undecodable
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield PlanRow(name, number, _cells(line))


def _cells(line: str) -> tuple[str, ...]:
    """The cells of a line; the whole line where its quotes do not match, which is a row of no file."""
    if '"' not in line:
        return tuple(cell.strip() for cell in line.split(","))
    try:
        return tuple(cell.strip() for cell in next(csv.reader([line], strict=True)))
    except csv.Error:
        return (line,)


def _read_destination(folder: PlanFolder, row: PlanRow) -> None:
    name = row.read("Id", cells.name)
    row.check("Id", "E_DUPLICATE", holds=name != ANY)
    folder.destinations.setdefault(name, []).append(row.read("Prefix", cells.raw_prefix))


def _read_timing(folder: PlanFolder, row: PlanRow) -> None:
    """The band lasts until midnight; at equal weight it yields to one that began later."""
    name = row.read("Id", cells.band_name)
    row.check("Id", "E_DUPLICATE", holds=name not in folder.timings)
    folder.timings[name] = BandTerms(
        name=name,
        years=row.read("Years", cells.numbers(cells.YEARS[0], cells.YEARS[-1])),
        months=row.read("Months", cells.numbers(1, 12)),
        month_days=row.read("MonthDays", cells.numbers(1, 31)),
        weekdays=row.read("WeekDays", cells.weekdays),
        start=row.read("Time", cells.clock),
    )


def _read_rates(folder: PlanFolder, row: PlanRow) -> None:
    name, rate, unit = row.read("Id", cells.name), row.read("Rate", cells.rate), row.read("RateUnit", cells.base_units)
    row.check("RateUnit", "E_UNIT", holds=bool(unit) or not rate)
    if not unit:
        folder.warn(row.fault("RateUnit", "W_UNIT_ZERO"))
    fee, increment = row.read("ConnectFee", cells.fee), row.read("RateIncrement", cells.increment)
    start = row.read("GroupIntervalStart", cells.base_units)
    folder.rates.setdefault(name, []).append(RatesRow(row, fee, rate, unit, increment, start))


def _settle_rates(folder: PlanFolder) -> None:
    """The group intervals of each Id become the tiers of one rate."""
    for name, group in folder.rates.items():
        tiers = sorted(group, key=lambda tier: tier.start)
        try:
            folder.rate_terms[name] = _terms(tiers)
        except _Refused as refused:
            folder.refuse(refused.fault)
        for tier in tiers[1:]:
            if tier.connect_fee not in (0, tiers[0].connect_fee):
                folder.warn(tier.row.fault("ConnectFee", "W_UNMAPPED"))  # only the tier at 0 has one


def _terms(tiers: list[RatesRow]) -> RateTerms:
    first, *later = tiers
    first.row.check("GroupIntervalStart", "E_TIER", holds=first.start == 0)
    for before, tier in pairwise(tiers):
        tier.row.check("GroupIntervalStart", "E_TIER", holds=tier.start >= max(before.start + 1, first.increment))
    # Prices of one rate share a unit: that of the file where all agree, else their common multiple. Both are exact.
    unit = lcm(*(tier.unit for tier in tiers if tier.unit)) if any(tier.unit for tier in tiers) else 60 * SECOND
    first.row.check("RateUnit", "E_LIMIT", holds=unit < LENGTH_MAX)
    price_of = {tier: tier.rate * (unit // tier.unit) if tier.unit else Decimal(0) for tier in tiers}
    for tier, price in price_of.items():
        tier.row.check("Rate", "E_LIMIT", holds=price < PRICE_MAX)
    listed = tuple(TierTerms(_seconds(tier.start), price_of[tier], _seconds(tier.increment)) for tier in later)
    first.row.check("Id", "E_LIMIT", holds=len(tiers_text(listed)) <= TEXT_MAX["tiers"])
    return RateTerms(
        rate_id=0,
        prefix="",
        rate=price_of[first],
        rate_unit=_seconds(unit),
        first_increment=_seconds(first.increment),
        next_increment=_seconds(first.increment),
        tiers=listed,
        connect_fee=first.connect_fee,
    )


def _seconds(units: int) -> Decimal:
    """Base units as the seconds in which rows of decks count, to the nanosecond."""
    return Decimal(units).scaleb(-9)


def _read_destination_rate(folder: PlanFolder, row: PlanRow) -> None:
    name, destination = row.read("Id", cells.name), _reference(folder, row, "DestinationId", DESTINATIONS)
    rates = _reference(folder, row, "RatesTag", RATES)
    rounding = row.read("RoundingMethod", cells.word_in(cells.ROUNDING_WORDS, "E_ROUNDING"))
    places = row.read("RoundingDecimals", lambda text: decimals(text) if text else None)
    if not rounding or places is None:
        folder.warn(row.fault("RoundingDecimals" if rounding else "RoundingMethod", "W_ROUNDING"))
    cap = row.read("MaxCost", cells.fee) or None
    strategy = row.read("MaxCostStrategy", cells.word_in(cells.CAP_WORDS, "E_CAP"))
    row.check("MaxCostStrategy", "E_CAP", holds=cap is None or bool(strategy))
    terms = folder.rate_terms.get(rates)
    if terms is not None:  # else its rates are refused already
        terms = replace(terms, rounding=rounding, decimals=places, comment=f"{name} {rates}")
        if cap is not None:
            terms = replace(terms, cap=cap, cap_kind=strategy)
        folder.destination_rates.setdefault(name, []).append(DestinationRate(destination, terms))


def _read_rating_plan(folder: PlanFolder, row: PlanRow) -> None:
    name, weight = row.read("Id", cells.name), row.read("Weight", cells.weight)
    rates = _reference(folder, row, "DestinationRatesId", DESTINATION_RATES)
    timing = _reference(folder, row, "TimingTag", TIMINGS)
    folder.rows += sum(
        len(folder.destinations.get(one.destination, ())) for one in folder.destination_rates.get(rates, ())
    )
    row.check("DestinationRatesId", "E_LIMIT", holds=folder.rows <= ROWS_MAX)
    folder.rating_plans.setdefault(name, []).append(PlanEntry(rates, timing, weight))


def _read_profile(folder: PlanFolder, row: PlanRow) -> None:
    key = ProfileKey(
        tenant=row.read("Tenant", cells.name),
        category=row.read("Category", cells.name),
        subject=row.read("Subject", cells.name),
        active_from=row.read("ActivationTime", cells.activation),
    )
    row.check("Subject", "E_DUPLICATE", holds=key not in folder.profiles)
    rating_plan = _reference(folder, row, "RatingPlanId", RATING_PLANS)
    folder.profiles[key] = Profile(rating_plan, row.read("RatesFallbackSubject", cells.names))


def _reference(folder: PlanFolder, row: PlanRow, column: str, file: str) -> str:
    """An Id that some row of an earlier file has, also a row that is refused itself."""
    name = row.read(column, cells.name)
    row.check(column, "E_REF", holds=name in folder.named[file])
    return name


_READERS: Mapping[str, ReadRow] = {
    DESTINATIONS: _read_destination,
    TIMINGS: _read_timing,
    RATES: _read_rates,
    DESTINATION_RATES: _read_destination_rate,
    RATING_PLANS: _read_rating_plan,
    RATING_PROFILES: _read_profile,
}
