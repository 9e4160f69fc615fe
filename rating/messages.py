"""What the codes of deck files and prices mean, for people."""

from django.utils.translation import gettext_lazy as _

ROW_MESSAGES = {
    "E_ENCODING": _("The file is not UTF-8."),
    "E_HEADER": _("The header or a directive cannot be read, or a required column is missing."),
    "E_COLUMNS": _("The row has fewer or more cells than the header."),
    "E_PREFIX": _("This is not a prefix."),
    "E_PREFIX_SCIENTIFIC": _("A spreadsheet turned the prefix into a number; format the column as text."),
    "E_PREFIX_AMBIGUOUS": _("A prefix as dialled in China begins with 0, 13-19, 10-12, 400, 800, 95 or 96."),
    "E_LIMIT": _("The value is too long or too large."),
    "E_NUMBER": _("This is not a plain decimal number."),
    "E_DECIMALS": _("The number has too many decimals; nothing is rounded silently."),
    "E_NEGATIVE": _("Negative values are not allowed."),
    "E_BLANK_RATE": _("The rate is blank; write 0 or blocked when that is meant."),
    "E_UNIT": _("The kind or unit is unknown."),
    "E_CURRENCY": _("The file's currency is not the deck's."),
    "E_DATE": _("This is not an ISO date, or the period ends before it begins."),
    "E_INCREMENT": _("An increment or unit must be more than 0 seconds."),
    "E_TIER": _("The tiers cannot be read, or one begins inside the first increment."),
    "E_BAND": _("The time band is unknown or cannot be read."),
    "E_CARRIER": _("The carrier is unknown."),
    "E_ROUNDING": _("The rounding is unknown, or its decimals are not 0 to 20."),
    "E_CAP": _("A cap needs a kind and may not be below the minimum charge."),
    "E_DUPLICATE": _("The same prefix, selectors and period stand twice in the file."),
    "E_REF": _("The value is none of those allowed here, or its partner is missing."),
    "W_COLUMN_IGNORED": _("The column is not known and was ignored."),
}

PRICING_MESSAGES = {
    "no_tariff": _("No tariff is assigned."),
    "no_rate": _("No rate fits this number."),
    "band_gap": _("Rates exist for this number, but none is active at this time."),
    "blocked": _("Calls to this number are blocked."),
    "bad_number": _("The number is not valid."),
    "currency_mismatch": _("Deck and account have different currencies."),
    "too_long": _("The call is longer than 31 days."),
    "bad_input": _("A field is missing or cannot be read."),
}


def message_of(code: str) -> str:
    """The row error's message in the language in use."""
    return str(ROW_MESSAGES.get(code, code))
