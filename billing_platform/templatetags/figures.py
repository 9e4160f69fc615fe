"""Figures as people read them: amounts, durations. Text in, text out; nothing here is a float."""

from decimal import ROUND_HALF_UP, Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()
SYMBOLS = {"CNY": "¥", "USD": "$", "EUR": "€", "HKD": "HK$"}
MINOR = Decimal("0.01")
DECIMALS_SHOWN = 6


@register.filter
def amount(value: Decimal | str, currency: str = "CNY") -> str:
    """The absolute amount with its sign of currency, two decimals or as many more as it has: ¥1,234.50, ¥0.012."""
    exact = abs(Decimal(value))
    shown = exact.quantize(MINOR) if exact == exact.quantize(MINOR) else exact.normalize()
    return f"{SYMBOLS.get(currency, f'{currency} ')}{shown:,f}"


@register.filter
def plain(value: Decimal | str) -> str:
    """The amount for programs: plain digits, no exponent, at least two decimals and no needless zero: 0.60, 0.125."""
    whole, _point, part = f"{Decimal(value):f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


@register.simple_tag
def money(value: Decimal | str, currency: str = "CNY", *, testid: str = "", signed: str = "") -> SafeString:
    """The amount with its hooks for programs. `signed`: a + or a true minus in front, for movements in a list."""
    sign = ("+" if Decimal(value) > 0 else "−" if Decimal(value) < 0 else "") if signed else ""
    return format_html(
        '<span class="figure" data-amount="{}" data-currency="{}"{}>{}{}</span>',
        plain(value), currency, format_html(' data-testid="{}"', testid) if testid else "", sign,
        amount(value, currency),
    )  # fmt: skip


@register.filter
def whole(count: int) -> str:
    """A count as people read it: 170,000. The same in every language."""
    return f"{int(count):,}"


@register.filter
def duration(seconds: int) -> str:
    """Seconds in words, at most two units, no empty one: 12 h 16 min, 2 h, 3 min 5 s, 40 s."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    units = [
        (days, _("%(count)d d") % {"count": days}),
        (hours_left, _("%(count)d h") % {"count": hours_left}),
        (minutes_left, _("%(count)d min") % {"count": minutes_left}),
        (rest, _("%(count)d s") % {"count": rest}),
    ]
    first = next((place for place, (count, _words) in enumerate(units) if count), len(units) - 1)
    return " ".join(words for count, words in units[first : first + 2] if count) or units[-1][1]


@register.filter
def minutes_clock(seconds: int) -> str:
    """Seconds as a clock face: 0:07, 12:40, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def per_minute(price: Decimal, increment_seconds: int) -> Decimal:
    """A price per increment as a price per minute; exact where it ends, else to six decimals."""
    return (price * 60 / increment_seconds).quantize(Decimal(1).scaleb(-DECIMALS_SHOWN), ROUND_HALF_UP).normalize()
