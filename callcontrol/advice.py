"""What helps against a refusal, in the reader's language: every code that can stop a call has its advice."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing_platform.errors import PlatformError, RateLimited, Unavailable
from callcontrol import errors
from counter.errors import REFUSALS

_TELL_ADMINISTRATOR = _("Tell your administrator.")
_WAIT = _("Wait a moment and try again.")

ADVICE: dict[str, "str | Promise"] = {
    "validation": _("Check the number: area code and all digits, for example 021 6000 1234."),
    "same_numbers": _("Enter the customer's number, not your own."),
    "account_not_bound": _("No account pays for your organisation's calls yet. Tell your administrator."),
    "application_not_open": _TELL_ADMINISTRATOR,
    "service_not_open": _("Calling is not switched on for your organisation. Tell your administrator."),
    "service_unknown": _TELL_ADMINISTRATOR,
    "account_suspended": _("Ask your finance department to have the account released."),
    "account_closed": _("Ask your finance department which account is to be used."),
    "insufficient_balance": _("Ask your finance department for a top-up; it counts at once."),
    "quota_exceeded": _("Ask your administrator for a larger quota."),
    "display_number_not_allowed": _("Choose another number to show, or have this one verified."),
    "number_blacklisted": _("This customer must not be called. If that is wrong, tell your supervisor."),
    "not_in_whitelist": _("Have the number put on the allow list by your supervisor."),
    "destination_blocked": _("Calls to this destination are barred. Ask your administrator if you need them."),
    "outside_business_hours": _("Call again when your business hours have begun."),
    "rate_limited": _("Many calls in a short time. Wait a moment and try again."),
    "concurrency_limit": _("Wait until a live call has ended."),
    "in_progress": _WAIT,
    "invalid_state": _("The call has moved on meanwhile; look at its state."),
    "provider_error": _("Nothing was charged. Try again, or tell your administrator."),
    "interrupted": _("Nobody was called and nothing was charged. Try again."),
    "counter_unavailable": _WAIT,
    "unavailable": _WAIT,
    "not_found": _("Reload the page."),
    "unauthenticated": _("Log in again."),
}


def _with_subclasses(kind: type[PlatformError]) -> list[type[PlatformError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _with_subclasses(below))]


_OURS = [known for known in _with_subclasses(PlatformError) if known.__module__ == errors.__name__]
_KNOWN: list[type[PlatformError]] = [Unavailable, RateLimited, *REFUSALS.values(), *_OURS]
TITLES = {known.code: known.title for known in _KNOWN}


def advice_for(code: str) -> str:
    """The next step for a person who met this refusal; "" where there is none."""
    return str(ADVICE.get(code, ""))


def title_for(code: str) -> str:
    """What a stored refusal says; "" for a code of which only the platform knows the meaning."""
    return str(TITLES.get(code, ""))
