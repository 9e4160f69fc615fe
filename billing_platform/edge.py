"""The outermost and the language middleware: what holds for every request, at the price of a few microseconds."""

import functools
import random
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

from billing_platform import limits, logs
from billing_platform.auth import remote_address
from billing_platform.errors import Malformed, PlatformError, RateLimited, TooLarge, UnsupportedMedia
from billing_platform.problems import error_response, platform_error

KIB = 1024
BODY_MAX = 256 * KIB  # unless the table says otherwise
BODY_MAX_BY_PREFIX = (  # bytes a request may declare, first match wins
    ("/api/v1/cdrs", 5 * KIB * KIB),
    ("/api/v1/ivr/", 64 * KIB),
    ("/api/v1/decks/", 100 * KIB * KIB),
    ("/admin/", 100 * KIB * KIB),
)
UNCOUNTED = ("/static/", "/healthz", "/readyz", "/metrics")
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# The admin theme compiles expressions and sets style attributes; the schema browser sets style attributes.
_ADMIN_POLICY = f"{_POLICY}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_DOCS_POLICY = f"{_POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def request_id_of(given: str) -> str:
    """The caller's X-Request-Id when it is 1 to 64 plain letters, else a new one."""
    if 0 < len(given) <= 64 and _ID_LETTERS.issuperset(given):
        return given
    return f"{random.getrandbits(64):016x}"  # a name, not a secret: the system's source would give up the GIL


def body_max(path: str) -> int:
    """Bytes that a request to this path may declare."""
    for prefix, limit in BODY_MAX_BY_PREFIX:
        if path.startswith(prefix):
            return limit
    return BODY_MAX


def refused_body(request: HttpRequest) -> PlatformError | None:
    """What is wrong with the declared body, judged before a byte of it is read; None when nothing is."""
    meta = request.META
    if meta.get("HTTP_CONTENT_ENCODING"):
        return UnsupportedMedia("send the body without Content-Encoding")
    declared = meta.get("CONTENT_LENGTH")
    if not declared:
        return Malformed("send Content-Length") if meta.get("HTTP_TRANSFER_ENCODING") else None
    if not (isinstance(declared, int) or (declared.isascii() and declared.isdigit() and len(declared) < 20)):
        return Malformed("Content-Length is not a number")
    limit = body_max(request.path)
    return TooLarge(limit=limit) if int(declared) > limit else None


def refused_address(request: HttpRequest) -> PlatformError | None:
    """No text of ours holds NUL, and the database takes none: an address with one names nothing."""
    if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
        return Malformed("the address holds NUL")
    return None


def refused_pace(request: HttpRequest) -> PlatformError | None:
    """Whether too much comes from this address; None when it does not. Probes and files are not counted."""
    if request.path.startswith(UNCOUNTED):
        return None
    try:
        limits.check_address(request.path, remote_address(request))
    except RateLimited as refusal:
        return refusal
    return None


def content_policy(path: str) -> str:
    """The Content-Security-Policy of a path: strict, with two named exceptions."""
    if path.startswith("/admin/"):
        return _ADMIN_POLICY
    return _DOCS_POLICY if path.startswith("/api/docs/") else _POLICY


class EdgeMiddleware:
    """Request id in and out, body limits, security headers, and answers for refusals that escape from a view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        identity = request_id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        token = logs.request_id.set(identity)
        try:
            refusal = refused_address(request) or refused_body(request) or refused_pace(request)
            response = self.get_response(request) if refusal is None else error_response(refusal, request)
        finally:
            logs.request_id.reset(token)
        headers = response.headers
        headers["X-Request-Id"] = identity
        headers["Permissions-Policy"] = _PERMISSIONS
        headers.setdefault("Content-Security-Policy", content_policy(request.path))
        if request.path.startswith("/api/"):
            headers.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django calls this for what escapes a view; a fault of ours goes on to the 500 handler."""
        error = platform_error(exception)
        return None if error is None else error_response(error, request)


@functools.lru_cache(maxsize=512)
def accepted_language(header: str) -> str:
    """The first of our languages in an Accept-Language header, else the default one."""
    for wanted, _quality in parse_accept_lang_header(header[:500]):
        try:
            return translation.get_supported_language_variant(wanted)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE


def chosen_language(request: HttpRequest) -> str:
    """`?lang=`, then the cookie, then Accept-Language; on API paths the header only."""
    if not request.path.startswith("/api/"):
        for wanted in (request.GET.get("lang", ""), request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")):
            if wanted in _languages():
                return wanted
    header = request.META.get("HTTP_ACCEPT_LANGUAGE", "")
    return accepted_language(header) if header else settings.LANGUAGE_CODE


@functools.cache
def _languages() -> frozenset[str]:
    return frozenset(code for code, _name in settings.LANGUAGES)


class LanguageMiddleware:
    """Activates the reader's language; `?lang=` is remembered in a cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = chosen_language(request)
        translation.activate(language)
        request.LANGUAGE_CODE = language
        response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        if request.path.startswith("/api/"):
            return response
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        if request.GET.get("lang") == language:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME, language, max_age=31_536_000, samesite="Lax", secure=settings.PRODUCTION
            )
        return response
