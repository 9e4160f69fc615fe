"""Refusals of this room. Pricing errors are answers, not refusals: see `rating.call.PricingError`."""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, NotFound, ValidationFailed


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


class QuestionUnreadable(ValidationFailed):
    """A question to the price explanation names an unknown field or an unreadable value."""

    code = "bad_input"
    title = _("The question could not be read.")
