"""Refusals of this room."""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, Forbidden, NotFound, PlatformError, Unauthenticated, ValidationFailed


class RecordNotFound(NotFound):
    code = "record_not_found"
    title = _("There is no such call record.")


class OriginUnproved(Unauthenticated):
    """One answer for every reason, so that nothing can be learnt from it."""

    title = _("The sender could not be verified.")


class RecordRejected(ValidationFailed):
    """The one record of a request makes no sense: its own code and status; carries `result`."""

    title = _("The record was rejected.")

    def __init__(self, code: str, detail: str, status: int) -> None:
        super().__init__(detail, result="rejected")
        self.code, self.http_status = code, status


class TooManyProviders(ValidationFailed):
    code = "too_many_providers"
    title = _("The organisation names too many providers.")


class RecordChanged(Conflict):
    """Another transaction wrote the record or its key in this moment: read again."""

    code, retryable = "record_changed", True
    title = _("The record was changed in this moment.")


class RecordingNotFound(NotFound):
    code = "recording_not_found"
    title = _("This call has no recording.")


class RecordingGone(PlatformError):
    code, http_status, grpc_status = "recording_gone", 410, "NOT_FOUND"
    title = _("The platform no longer keeps this recording.")


class RecordingTooLarge(PlatformError):
    """Carries `limit`, bytes."""

    code, http_status, grpc_status = "recording_too_large", 502, "OUT_OF_RANGE"
    title = _("The recording is too large to be played here.")


class RecordingUnreachable(PlatformError):
    """No answer, none that is sound, or an address that we do not go to."""

    code, http_status, grpc_status, retryable = "recording_unreachable", 502, "UNAVAILABLE", True
    title = _("The recording cannot be fetched from the platform right now.")


class RerateNotFound(NotFound):
    """Also one of another organisation, and one whose result is no longer kept."""

    code = "rerate_not_found"
    title = _("There is no such re-rating, or its result is no longer kept.")


class RerateNotApplicable(Conflict):
    """Not a dry run that came to its end and found something; dry runs are kept for a day."""

    code = "rerate_not_applicable"
    title = _("Nothing can be applied here: ask with a new dry run first.")


class SecondPersonNeeded(Forbidden):
    code = "second_person_needed"
    title = _("This moves more than one person may decide: somebody else has to apply it.")
