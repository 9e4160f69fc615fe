"""What the codes of deck files and prices mean, for people."""

from django.utils.translation import gettext_lazy as _

ROW_MESSAGES = {
    "E_ENCODING": _("The file is neither text nor a workbook, or these bytes are no text in its encoding."),
    "E_HEADER": _("The header or a directive cannot be read, or a required column is missing."),
    "E_COLUMNS": _("The row has fewer or more cells than the header, or a stray quote."),
    "E_PREFIX": _("This is not a prefix."),
    "E_PREFIX_SCIENTIFIC": _("A spreadsheet turned the prefix into a number; format the column as text."),
    "E_PREFIX_AMBIGUOUS": _("A prefix as dialled in China begins with 0, 13-19, 10-12, 400, 800, 95 or 96."),
    "E_RANGE": _("The list or range of prefixes cannot be read; both ends of a range are equally long."),
    "E_LIMIT": _("The value is too long or too large, or the file asks for too much."),
    "E_NUMBER": _("This is not a plain decimal number."),
    "E_DECIMALS": _("The number has too many decimals; nothing is rounded silently."),
    "E_NEGATIVE": _("Negative values are not allowed."),
    "E_BLANK_RATE": _("The rate is blank; write 0 or blocked when that is meant."),
    "E_UNIT": _("The kind is unknown, or neither file nor template says what a rate is the price of."),
    "E_CURRENCY": _("The file's currency is not the deck's."),
    "E_DATE": _("This is not an ISO date, nor one of the template's layout; or the period ends before it begins."),
    "E_DATE_PAST": _("The date has passed; a template may take it as from now on, or as a correction."),
    "E_INCREMENT": _("An increment or unit must be more than 0 seconds."),
    "E_TIER": _("The tiers cannot be read, or one begins inside the first increment."),
    "E_BAND": _("The time band is unknown or cannot be read."),
    "E_CARRIER": _("The carrier is unknown."),
    "E_ROUNDING": _("The rounding is unknown, or its decimals are not 0 to 20."),
    "E_CAP": _("A cap needs a kind and may not be below the minimum charge."),
    "E_DUPLICATE": _("The same prefix, selectors and period stand twice in the file."),
    "E_REF": _("The value is none of those allowed here, or its partner is missing: seconds of grace need a kind."),
    "E_INTERRUPTED": _("Reading the file was interrupted again and again."),
    "W_UNMAPPED": _("So many values of this column or sheet have no place here."),
    "W_CHANGE_DISAGREES": _("The supplier calls the change something else than it is."),
    "W_COLUMN_IGNORED": _("The column is not known and was ignored."),
}

# In tariff plan folders some codes mean something more exact.
PLAN_MESSAGES = {
    "E_COLUMNS": _("The line has fewer or more cells than the file has columns."),
    "E_DUPLICATE": _("This was defined before, in another way."),
    "E_REF": _("No row has this Id."),
    "E_TIER": _("The group interval at 0 is missing, or one begins twice or inside the first increment."),
    "E_UNIT": _("This is no whole number of units, or a unit of 0 has a price."),
    "E_ROUNDING": _("The rounding is *up, *middle or *down, with 0 to 20 decimals."),
    "E_CAP": _("A greatest cost needs *free or *disconnect."),
    "E_DATE": _("This is not an instant like 2026-01-01T00:00:00Z."),
    "W_FILE_EMPTY": _("The file is absent or has no rows."),
    "W_REDEFINED": _("This repeats what is defined already."),
    "W_ROUNDING": _("Rounding is left to the deck's own."),
    "W_UNIT_ZERO": _("The unit is 0; the price is too."),
    "W_UNMAPPED": _("This has no place here and was not read."),
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


def plan_message_of(code: str) -> str:
    """What is wrong with a cell of a tariff plan folder, in the language in use."""
    return str(PLAN_MESSAGES.get(code) or message_of(code))
