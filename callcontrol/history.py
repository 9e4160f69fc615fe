"""The history of calls: one filter for the list, its totals, its files. Times are days in the organisation's zone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext_lazy, pgettext_lazy

from billing_platform import clock
from billing_platform.errors import NotFound
from billing_platform.paging import Page, PageRequest
from callcontrol import disputes, numbers, organizations
from callcontrol.charges import LegCharge, charge_facts, read_legs, told_legs
from callcontrol.disputes import ShownDispute
from callcontrol.models import Callback, CallbackEvent
from callcontrol.models.calls import OVER, State
from callcontrol.screening import visible_calls
from callcontrol.wishes import NUMBER_MAX, Placer
from callcontrol.wording import HEADLINES, ShownCall, Step, detail_shown, rail_of, shown_call

VIEW = "agent_calls"
DAYS_DEFAULT = 7
AT_ONCE = 500  # calls that a file reads at a time
RESULTS = {  # key in the address: label and which calls
    "talked": (gettext_lazy("talked"), Q(answered_at__isnull=False) | Q(billable_seconds__gt=0)),
    "missed": (gettext_lazy("not reached"), Q(rank__gte=OVER, answered_at__isnull=True, billable_seconds__isnull=True)
               | Q(rank__gte=OVER, answered_at__isnull=True, billable_seconds=0)),
    "live": (pgettext_lazy("call", "live"), Q(rank__lt=OVER)),
    "failed": (gettext_lazy("failed"), Q(state=State.FAILED)),
    "cancelled": (gettext_lazy("cancelled"), Q(state=State.CANCELLED)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: days `since` … `until`, both counted in; result and number "" mean all."""

    since: date
    until: date
    result: str
    number: str
    zone: ZoneInfo

    @property
    def query(self) -> str:
        """The filter as it stands in an address."""
        wanted = {"from": str(self.since), "to": str(self.until), "result": self.result, "q": self.number}
        return urlencode({name: value for name, value in wanted.items() if value})

    @property
    def begins(self) -> datetime:
        return datetime.combine(self.since, time(), self.zone)

    @property
    def ends(self) -> datetime:
        return datetime.combine(self.until + timedelta(days=1), time(), self.zone)


@dataclass(frozen=True, slots=True)
class Totals:
    """Over the whole filter: calls, those with talk, seconds talked, cost by currency."""

    calls: int
    talked: int
    seconds: int
    costs: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """Something that was heard or done about a call."""

    at: datetime
    label: str
    source: str
    raised: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CallStory:
    """One call with its rail and everything that is known of its way; each charged leg with its sentence."""

    call: ShownCall
    rail: list[Step]
    lines: list[HistoryLine]
    zone: ZoneInfo
    display_to_customer: str
    disputes: list[ShownDispute]
    may_dispute: bool


def read_filter(query: Mapping[str, str], placer: Placer) -> CallFilter:
    """The filter in an address; what cannot be read falls back to the last seven days and all results."""
    zone = organizations.zone_of(placer.organization)
    today = clock.now().astimezone(zone).date()
    until = _day(query.get("to", ""), today)
    since = min(_day(query.get("from", ""), until - timedelta(days=DAYS_DEFAULT - 1)), until)
    result = query.get("result", "")
    return CallFilter(since, until, result if result in RESULTS else "", query.get("q", "").strip()[:NUMBER_MAX], zone)


def list_calls(asked: CallFilter, placer: Placer, page: PageRequest) -> Page[ShownCall]:
    """One page, newest first."""
    rows = _rows(asked, placer)
    if page.after is not None:
        at, last = datetime.fromisoformat(str(page.after[0])), int(page.after[1])
        rows = rows.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=last))
    found = page.page(list(rows[: page.limit + 1]), lambda row: [row.created_at.isoformat(), row.pk], view=VIEW)
    return Page(_shown(found.items, placer), found.next_cursor)


def sum_calls(asked: CallFilter, placer: Placer) -> Totals:
    """The totals of the whole filter, in one aggregate."""
    rows = _rows(asked, placer).order_by()
    sums = rows.aggregate(
        calls=Count("id"), talked=Count("id", filter=RESULTS["talked"][1]), seconds=Sum("billable_seconds")
    )
    costs = rows.filter(cost__isnull=False).values_list("currency").annotate(Sum("cost"))
    return Totals(sums["calls"], sums["talked"], sums["seconds"] or 0, {code or "CNY": cost for code, cost in costs})


def read_story(reference: str, placer: Placer) -> CallStory:
    """One call. Raises NotFound for a call of somebody else."""
    call = Callback.objects.select_related("agent").filter(visible_calls(placer), reference=reference).first()
    if call is None:
        raise NotFound
    events = list(CallbackEvent.objects.filter(callback=call).order_by("id")[:200])
    lines = [
        HistoryLine(
            event.at, str(HEADLINES[event.state]), event.get_source_display(), event.raised, detail_shown(event.detail)
        )
        for event in events
    ]
    about = disputes.disputes_of(reference, placer)
    shown = replace(shown_call(call, placer), legs=_told_legs(call), dispute=about[0].state if about else "")
    return CallStory(
        shown, rail_of(call, passed=[event.state for event in events if event.raised]), lines,
        organizations.zone_of(placer.organization), call.display_to_customer, about,
        shown.is_disputable and disputes.may_dispute(call, placer),
    )  # fmt: skip


def find_visible(references: Sequence[str], placer: Placer) -> set[str]:
    """Those of these call ids that this reader may see; at most 500 are looked at."""
    rows = Callback.objects.filter(visible_calls(placer), reference__in=references[:AT_ONCE])
    return set(rows.values_list("reference", flat=True))


def _told_legs(call: Callback) -> tuple[LegCharge, ...]:
    """The charged legs, when they add up to the cost that the call's own row shows."""
    legs = told_legs(charge_facts(call)) if call.cost is not None else ()
    return legs if sum((leg.amount for leg in legs), Decimal(0)) == call.cost else ()


def stream_calls(asked: CallFilter, placer: Placer) -> Iterator[ShownCall]:
    """Every call of the filter, for files; read in pieces."""
    waiting: list[Callback] = []
    for row in _rows(asked, placer).iterator(chunk_size=AT_ONCE):
        waiting.append(row)
        if len(waiting) == AT_ONCE:
            yield from _shown(waiting, placer)
            waiting.clear()
    yield from _shown(waiting, placer)


def _shown(rows: Sequence[Callback], placer: Placer) -> list[ShownCall]:
    """Calls with what they cost leg by leg and with their disputes."""
    legs, states = read_legs(rows), disputes.newest_states(rows)
    return [
        replace(shown_call(row, placer), legs=legs.get(row.reference, ()), dispute=states.get(row.pk, ""))
        for row in rows
    ]


def _rows(asked: CallFilter, placer: Placer) -> "QuerySet[Callback]":
    rows = Callback.objects.filter(visible_calls(placer), created_at__gte=asked.begins, created_at__lt=asked.ends)
    if asked.result:
        rows = rows.filter(RESULTS[asked.result][1])
    if asked.number:
        rows = rows.filter(_named(asked.number))
    return rows.order_by("-created_at", "-id")


def _named(text: str) -> Q:
    """The number in full, or the digits that it contains."""
    digits = "".join(letter for letter in text if letter.isdigit())
    key = numbers.read(text).key
    found = Q(customer_number__contains=digits) if digits else Q(reference=text)
    return found | Q(customer_key=key) if key else found


def _day(text: str, default: date) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default
