"""Refusals of this room. Pricing errors are answers, not refusals: see `rating.call.PricingError`."""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, Forbidden, NotFound, ValidationFailed
from billing_platform.runs import GuardRail


class DeckUnknown(NotFound):
    code = "deck_unknown"
    title = _("There is no such rate deck or version.")


class DraftOutdated(Conflict):
    """Another version was published since this draft was drawn up; `base` and `latest` are version numbers."""

    code = "draft_outdated"
    title = _("Another version was published meanwhile; draw up the draft again.")


class NotADraft(Conflict):
    code = "not_a_draft"
    title = _("This version is not a draft: published rates are never edited.")


class NotProposed(Conflict):
    code = "not_proposed"
    title = _("This version does not wait for a second person.")


class OwnProposal(Forbidden):
    """The second person must be another one than the first."""

    code = "own_proposal"
    title = _("Somebody else must approve what you proposed.")


class DeckExists(Conflict):
    code = "deck_exists"
    title = _("There is a rate deck of this code already.")


class NotWithdrawable(Conflict):
    code = "not_withdrawable"
    title = _("Only a version that has not taken effect yet can be withdrawn.")


class TooSoon(ValidationFailed):
    """Prices change at least 5 s ahead, so that every process knows them in time; corrections may go back."""

    code = "too_soon"
    title = _("The effective time must lie at least 5 seconds ahead.")


class ImportRefused(ValidationFailed):
    """The file has errors; `errors` holds the first of them, `error_count` counts the rows."""

    code = "import_refused"
    title = _("The file has errors; nothing was imported.")


class ApprovalNeeded(GuardRail):
    """The version was proposed; `version_id` and `roles` say who may approve what."""

    code = "approval_needed"
    title = _("A second person must approve this version before it takes effect.")


class ImportUnknown(NotFound):
    code = "import_unknown"
    title = _("There is no such import of this rate deck.")


class ImportNotReady(Conflict):
    """`state` says where the import stands."""

    code = "import_not_ready"
    title = _("In its present state the import cannot be applied or discarded.")


class TemplateUnknown(NotFound):
    code = "template_unknown"
    title = _("There is no such import template.")


class TemplateUnreadable(ValidationFailed):
    """`key` names the option that is not one, or has a value that is not allowed."""

    code = "template_unreadable"
    title = _("The template has an unknown option or value.")


class EditRefused(ValidationFailed):
    """A bulk edit would make rates that cannot be; `faults` says which, in how many rows."""

    code = "edit_refused"
    title = _("The change would make rates that cannot be; nothing was changed.")


class NothingChanges(ValidationFailed):
    """No row is found, or all have the new values already; `matched` counts the rows found."""

    code = "nothing_changes"
    title = _("Nothing would change.")


class PlanUnreadable(ValidationFailed):
    """The id, the zone or the currency of a tariff plan is none."""

    code = "plan_unreadable"
    title = _("A tariff plan has an id of letters and digits, a time zone, and a currency of three letters.")


class PlanIsLive(ValidationFailed):
    """The plan's prices are charged; only who says so replaces them."""

    code = "plan_is_live"
    title = _("The prices of this tariff plan are live: say --replace to change them.")


class PlanHeadFixed(Conflict):
    """Published decks keep their zone and currency; `zone` and `currency` are the plan's."""

    code = "plan_head_fixed"
    title = _("A tariff plan keeps its time zone and currency; give the folder to another plan.")


class PlanNotIsolated(Conflict):
    """A deck that the plan needs belongs to nobody's plan or another's, or another plan's assignments use it."""

    code = "plan_not_isolated"
    title = _("A deck of this tariff plan is used outside it, or its name is taken.")


class ExpectationExists(Conflict):
    """The deck keeps a test case of this name already."""

    code = "expectation_exists"
    title = _("The deck already has a test case with this name.")


class TooManyExpectations(ValidationFailed):
    """`limit` test cases are kept with the deck."""

    code = "too_many_expectations"
    title = _("The deck has as many test cases as it may have.")


class QuestionUnreadable(ValidationFailed):
    """A question to the price explanation names an unknown field or an unreadable value."""

    code = "bad_input"
    title = _("The question could not be read.")
