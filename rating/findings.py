"""What the check of a deck finds: codes, their words, and a collection that counts all and keeps the first thousand."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

KEPT_MAX = 1000

# In the order in which they are shown: what costs money or stops calls first, what is only untidy last.
TITLES: Mapping[str, Any] = {
    "L_TERMS": _("cannot be priced"),
    "L_EXPECTED": _("expected price missed"),
    "L_DEFAULT": _("default deck without a rate for everything"),
    "L_EMERGENCY": _("emergency call costs money"),
    "L_GAP": _("time without a rate"),
    "L_OVERLAP": _("two rows for the same calls"),
    "L_TIE": _("tie"),
    "L_BELOW_COST": _("below cost"),
    "L_NOTICE": _("rise without notice"),
    "L_CAP": _("cap that does not fit"),
    "L_FIRST_TIER": _("rate that is never charged"),
    "L_DECIMALS": _("too many decimals"),
    "L_PROVISIONAL": _("calendar not confirmed"),
    "L_SHADOW": _("row that never wins"),
}

MESSAGES: Mapping[str, Any] = {
    "L_TERMS": _("A row cannot be priced: %(reason)s"),
    "L_EXPECTED": _("%(name)s: expected %(expected)s, this version says %(got)s."),
    "L_DEFAULT": _("A default deck needs a rate on the empty prefix that always counts, for every carrier."),
    "L_EMERGENCY": _("%(number)s would cost money: make it free or block it."),
    "L_GAP": _("No rate is active from %(at)s on."),
    "L_OVERLAP": _("Another row (%(other)s) speaks of the same calls at the same time."),
    "L_TIE": _("As good as another row (%(other)s); only the cheaper first increment decides."),
    "L_BELOW_COST": _("The price %(price)s lies below the supplier's %(cost)s."),
    "L_NOTICE": _("Dearer (%(before)s → %(after)s) with less than %(days)s days of notice."),
    "L_CAP": _("The cap %(cap)s has more decimals than the rounding, or lies below the minimum charge."),
    "L_FIRST_TIER": _("The first tier begins with second %(start)s: the row's own rate is never charged."),
    "L_DECIMALS": _("Rounded to %(decimals)s decimals; accounts are charged with at most 6."),
    "L_PROVISIONAL": _("The band %(band)s tests days; %(day)s is in a year whose official calendar is not loaded."),
    "L_SHADOW.covered": _("Another row (%(other)s) wins whenever this one is active."),
    "L_SHADOW.never": _("Its time band or period does not occur within 13 months."),
    "L_SHADOW.same": _("The shorter prefix %(other)s has the same terms."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its code, the row (id, prefix, destination; none for the version as a whole) and what is known.

    `detail` holds texts; amounts plain, instants in ISO form. `variant` chooses between messages of one code.
    """

    code: str
    rate_id: int | None = None
    prefix: str = ""
    destination: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    @property
    def title(self) -> str:
        """The kind of fault in the language in use."""
        return str(TITLES[self.code])

    @property
    def message(self) -> str:
        """What is wrong, in the language in use."""
        key = f"{self.code}.{self.variant}" if self.variant else self.code
        return str(MESSAGES[key]) % self.detail


@dataclass(slots=True)
class Findings:
    """Faults of one version. `counts` knows all of them, per code; `items` are the first thousand."""

    counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """One more."""
        self.counts[finding.code] += 1
        kept = self._kept.setdefault(finding.code, [])
        if len(kept) < KEPT_MAX:
            kept.append(finding)

    def add_counted(self, code: str, count: int, shown: Iterable[Finding]) -> None:
        """`count` findings of one code, of which only `shown` were read."""
        self.counts[code] += count
        self._kept.setdefault(code, []).extend(shown)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def items(self) -> list[Finding]:
        """The first thousand, the grave ones first."""
        return [finding for code in TITLES for finding in self._kept.get(code, ())][:KEPT_MAX]

    def by_code(self) -> list[tuple[str, str, int]]:
        """(code, title in the language in use, count), the grave ones first."""
        return [(code, str(title), self.counts[code]) for code, title in TITLES.items() if self.counts[code]]


def item_of(finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "code": finding.code,
        "prefix": finding.prefix,
        "destination": finding.destination,
        "rate_id": finding.rate_id,
        "message": finding.message,
        **finding.detail,
    }
