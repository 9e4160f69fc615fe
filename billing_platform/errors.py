"""Errors typed by what the caller can do: a code, an HTTP and a gRPC status, and whether a repeat may help."""

from django.utils.translation import gettext_lazy as _


class PlatformError(Exception):
    """Base of all refusals. `code` is stable and public; `fields` are shown to the caller; text is for people."""

    code = "internal"
    http_status = 500
    grpc_status = "INTERNAL"
    retryable = False
    title = _("Something went wrong on our side.")

    def __init__(self, detail: str = "", **fields: object) -> None:
        super().__init__(detail or str(self.title))
        self.detail = detail
        self.fields = fields


class Malformed(PlatformError):
    code, http_status, grpc_status = "malformed", 400, "INVALID_ARGUMENT"
    title = _("The request could not be read.")


class ValidationFailed(PlatformError):
    """`fields` maps a field's name to what is wrong with it."""

    code, http_status, grpc_status = "validation", 422, "INVALID_ARGUMENT"
    title = _("Some values do not make sense.")


class Unauthenticated(PlatformError):
    code, http_status, grpc_status = "unauthenticated", 401, "UNAUTHENTICATED"
    title = _("Log in or send a valid API key.")


class Forbidden(PlatformError):
    code, http_status, grpc_status = "forbidden", 403, "PERMISSION_DENIED"
    title = _("You may not do this.")


class NotFound(PlatformError):
    code, http_status, grpc_status = "not_found", 404, "NOT_FOUND"
    title = _("Not found.")


class MethodNotAllowed(PlatformError):
    """`allowed` names the methods that exist."""

    code, http_status, grpc_status = "method_not_allowed", 405, "UNIMPLEMENTED"
    title = _("This method does not exist here.")


class Conflict(PlatformError):
    code, http_status, grpc_status = "conflict", 409, "ALREADY_EXISTS"
    title = _("This contradicts what is stored.")


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"
    title = _("This key was used before with other content.")


class InProgress(Conflict):
    code, retryable = "in_progress", True
    title = _("The first request with this key is still running.")


class TooLarge(PlatformError):
    code, http_status, grpc_status = "too_large", 413, "INVALID_ARGUMENT"
    title = _("The request is too large.")


class UnsupportedMedia(PlatformError):
    code, http_status, grpc_status = "unsupported_media_type", 415, "INVALID_ARGUMENT"
    title = _("This content type is not supported.")


class RateLimited(PlatformError):
    """Carries `retry_after` seconds."""

    code, http_status, grpc_status, retryable = "rate_limited", 429, "UNAVAILABLE", True
    title = _("Too many requests.")


class Unavailable(PlatformError):
    """Trouble of ours; nothing was done, or the outcome is unknown: repeat the same content with the same key."""

    code, http_status, grpc_status, retryable = "unavailable", 503, "UNAVAILABLE", True
    title = _("The service cannot answer right now.")
