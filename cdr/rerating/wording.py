"""What stands on the page and in the files of re-ratings, in the reader's language."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing_platform.runs import Exit

Words = Mapping[str, "str | Promise"]

KINDS: Words = {
    "dry_run": _("Dry run"),
    "applied": _("Re-rating"),
    "what_if": _("What if"),
}
PARTS: Words = {
    "total": _("Total"),
    "account": _("Account"),
    "call": _("One call"),
    "skipped": _("Skipped: its period is closed"),
    "destination": _("Destination"),
    "carrier": _("Carrier"),
}
BY: Words = {
    "account": _("By account"),
    "destination": _("By destination"),
    "carrier": _("By carrier"),
}
COLUMNS: Words = {
    "by": _("Line"),
    "account": _("Account"),
    "use": _("Charge number"),
    "start": _("Start"),
    "currency": _("Currency"),
    "calls": _("Calls"),
    "old": _("Before"),
    "new": _("After"),
    "difference": _("Changes by"),
    "margin_old": _("Margin before"),
    "margin_new": _("Margin after"),
    "cost_unknown": _("Calls without a supplier's cost"),
    "name": _("Name"),
    "minutes": _("Minutes"),
    "revenue_now": _("Revenue now"),
    "revenue_then": _("Revenue then"),
    "change": _("Change of revenue"),
    "change_percent": _("Change in %"),
    "cost_now": _("Cost now"),
    "cost_then": _("Cost then"),
    "margin_now": _("Margin now"),
    "margin_then": _("Margin then"),
    "cost_unknown_now": _("Calls without a supplier's cost now"),
    "cost_unknown_then": _("Calls without a supplier's cost then"),
    "lost": _("Calls that would lose their rate"),
    "unpriced": _("Calls that nothing would price"),
}
FAILED: Mapping[int, "str | Promise"] = {  # exit code: what happened, and what to do
    Exit.USAGE: _("The question was refused. Look at the last lines of the run, correct the question and ask again."),
    Exit.GUARD_RAIL: _(
        "What would change now is not what was confirmed: charges or prices have changed since. The run stopped there; "
        "make a new dry run."
    ),
    Exit.MISMATCH: _("The ledger does not hold what was told. Stop here and have the books verified."),
    Exit.TRY_LATER: _("The database could not answer. What was charged anew stays; make a new dry run for the rest."),
}
FAILED_OTHERWISE = _("The run failed. What was charged anew stays; look at its last lines, then make a new dry run.")
