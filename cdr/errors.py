"""Refusals of this room."""

from django.utils.translation import gettext_lazy as _

from billing_platform.errors import Conflict, NotFound, Unauthenticated, ValidationFailed


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
