"""What is stored about calls in short codes and in English, in the reader's language."""

import inspect
import re
from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_platform.errors import PlatformError
from billing_platform.logs import masked_number
from cdr.filters import TEST_NUMBER, TOO_SHORT, UNANSWERED
from cdr.history import OTHER_LEG
from counter import errors
from rating.messages import PRICING_MESSAGES

Words = Mapping[str, "str | Promise"]

RULES: Words = {
    UNANSWERED: gettext_lazy("nobody answered"),
    TOO_SHORT: gettext_lazy("too short"),
    TEST_NUMBER: gettext_lazy("test number"),
    OTHER_LEG: gettext_lazy("charged with the other leg"),
}
CALL_TYPES: Words = {
    "callback": gettext_lazy("callback"),
    "direct": gettext_lazy("direct call"),
    "softphone": gettext_lazy("softphone"),
}
LEG_NAMES: Words = {
    "a": gettext_lazy("Leg A, the agent"),
    "b": gettext_lazy("Leg B, the customer"),
    "call": gettext_lazy("Whole call"),
}
CAUSES: Words = {
    "normal_clearing": gettext_lazy("normal end"),
    "no_answer": gettext_lazy("no answer"),
    "busy": gettext_lazy("line busy"),
    "rejected": gettext_lazy("call rejected"),
    "cancelled": gettext_lazy("cancelled"),
    "unreachable": gettext_lazy("unreachable"),
    "power_off": gettext_lazy("switched off"),
    "invalid_number": gettext_lazy("number does not exist"),
    "failed": gettext_lazy("failed"),
    "time_limit": gettext_lazy("longest duration reached"),
    "insufficient_balance": gettext_lazy("out of money"),
    "unknown": gettext_lazy("unknown"),
}
DOORS: Words = {
    "cdrs": gettext_lazy("our API"),
    "cdr": gettext_lazy("record by webhook"),
    "status": gettext_lazy("status by webhook"),
    "recording": gettext_lazy("recording by webhook"),
}
WARNINGS: Words = {
    "default_rate": gettext_lazy("default rate"),
    "no_number": gettext_lazy("without a number"),
    "maximum_rate": gettext_lazy("dearest rate, end unknown"),
    "repriced": gettext_lazy("charged anew"),
    "start_time_assumed": gettext_lazy("start assumed"),
    "no_hold": gettext_lazy("without a hold"),
    "overdrawn": gettext_lazy("into debt"),
    "service_not_open": gettext_lazy("service not open"),
    "account_suspended": gettext_lazy("account suspended"),
    "corrected": gettext_lazy("corrected"),
    "replaced_estimate": gettext_lazy("estimate replaced"),
}
BADGES = {"charged": "good", "filtered": "", "pending": "warn", "waiting": "warn"}
_TOO_SHORT = re.compile(r"answered, (\d+) s, under (\d+) s")
_TEST = re.compile(r"(\S+) is a test number")
_TITLES = {
    error.code: error.title
    for _name, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, PlatformError)
}


def word(words: Words, key: str) -> str:
    """What a key means; one that nobody foresaw is shown as it is."""
    return str(words.get(key, key))


def filter_words(rule: str, because: str, *, shows_numbers: bool) -> str:
    """Why a rule caught the call: the stored fact, told in the reader's language."""
    short, test = _TOO_SHORT.fullmatch(because), _TEST.fullmatch(because)
    if short:
        return _("answered for %(seconds)s s, under %(least)s s") % {"seconds": short[1], "least": short[2]}
    if test:
        number = test[1] if shows_numbers else masked_number(test[1])
        return _("%(number)s is a test number") % {"number": number}
    return word(RULES, rule)


def failure_words(bill_error: str) -> str:
    """Why the charge failed: the meaning of its code."""
    code = bill_error.partition(":")[0]
    return str(PRICING_MESSAGES.get(code) or _TITLES.get(code) or code)
