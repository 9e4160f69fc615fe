"""The rows of a rate deck as they are stored: what somebody typed or imported, before it is compiled.

Plain values without behaviour. Amounts and prices are Decimals in the deck's currency. Lengths (increments, tier
starts, free seconds) count seconds for calls and plain units for data, messages and unit services.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

VOICE = "voice"
KINDS = (VOICE, "data", "sms", "unit")
WORKDAY, MAKEUP_WORKDAY, WEEKEND, HOLIDAY = "workday", "makeup_workday", "weekend", "holiday"
DAY_CLASSES = (WORKDAY, MAKEUP_WORKDAY, WEEKEND, HOLIDAY)
FREE_FIRST_N, FREE_IF_SHORTER_THAN = "free_first_n", "free_if_shorter_than"
CAP_FREE, CAP_DISCONNECT = "free", "disconnect"
E164, NATIONAL, RAW = "e164", "national", "raw"


@dataclass(frozen=True, slots=True)
class TierTerms:
    """From `start` on, counted from the beginning of the call, another price; an empty field keeps the rate's own."""

    start: Decimal | int
    rate: Decimal
    increment: Decimal | int | None = None  # None: the rate's next_increment
    rate_unit: Decimal | int | None = None  # None: the rate's rate_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTerms:
    """One row of a deck: what calls to a prefix cost. An empty selector fits every call."""

    rate_id: int
    prefix: str
    rate: Decimal  # per rate_unit
    destination: str = ""
    enabled: bool = True
    carrier: str = ""
    reach: str = ""
    kind: str = ""
    band: str = ""  # the name of a band of the same version; empty: always
    priority: Decimal | None = None  # None: the band's
    rate_unit: Decimal | int = 60
    first_rate: Decimal | None = None
    first_increment: Decimal | int = 60
    next_increment: Decimal | int = 60
    tiers: tuple[TierTerms, ...] = ()
    connect_fee: Decimal = Decimal(0)
    free_kind: str = ""
    free_seconds: Decimal | int = 0
    min_charge: Decimal = Decimal(0)
    cap: Decimal | None = None
    cap_kind: str = ""
    rounding: str = ""  # empty: the deck's
    decimals: int | None = None  # None: the deck's
    blocked: bool = False
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    cost_rate: Decimal | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandTerms:
    """Days and a clock range in the deck's zone; every test that is not empty must hold.

    `end` None is 24:00. An `end` not after `start` lies on the following day, and the day tests then
    apply to the day on which the band began. Weekdays are 1 (Monday) to 7; 0 is Sunday too.
    """

    name: str
    classes: tuple[str, ...] = ()
    weekdays: tuple[int, ...] = ()
    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    dates: tuple[tuple[date, date], ...] = ()  # both ends included
    start: time | None = None
    end: time | None = None
    priority: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTerms:
    """The head of a deck version: what all its rows share. `effective_from` None: it was always in force."""

    deck: str
    version: int
    version_id: int = 0
    family: str = ""
    carrier: str = ""  # set: the deck is isolated, only calls of this carrier are priced by it
    currency: str = "CNY"
    zone: str = "Asia/Shanghai"
    numbering: str = E164
    rounding: str = "half_up"
    decimals: int = 4
    effective_from: datetime | None = None
    # How many units of data, messages or unit services one "second" of a row is worth: 1 in decks;
    # 10**9 in imported tariff plans, whose files count every kind in base units.
    units_per_second: int = 1
