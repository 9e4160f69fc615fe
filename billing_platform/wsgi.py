"""The door for a WSGI server (granian, gunicorn).

What programs send with a key to the busy doors passes a short middleware stack: a key needs no session, no message, no
lock-out. The busiest address of all is a plain view that is known beforehand, and is called without looking for it.
Everything else, people above all, passes the whole one.
"""

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any, cast

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
django.setup(set_prefix=False)

BUSY = ("/api/v1/cdrs", "/api/v1/providers/", "/api/v1/callbacks", "/api/billaccounts/", "/onlyuser/")
BUSIEST = "/api/v1/cdrs"
SHORT_STACK = frozenset({
    "billing_platform.edge.EdgeMiddleware", "billing_platform.edge.LanguageMiddleware",
    "callcontrol.middleware.BillingMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.security.SecurityMiddleware",
})  # fmt: skip
GATE = "callcontrol.middleware.BillingMiddleware"


class _KeyedHandler(WSGIHandler):
    """Django's handler with the layers that a keyed request needs, in the order of the settings."""

    layers = SHORT_STACK

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002  Django's signature
        whole = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in whole if name in self.layers]
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole


class _PlainHandler(_KeyedHandler):
    """One plain view behind the same layers, without the gate. Of Django's signals it needs the check of connections
    alone, with which every request begins; the answer is a list, so that the server need not close it."""

    layers = SHORT_STACK - {GATE}

    def __init__(self, path: str) -> None:
        self._view: Callable[[HttpRequest], HttpResponse] = resolve(path).func
        super().__init__()

    def _get_response(self, request: HttpRequest) -> HttpResponse:
        return self._view(request)

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        close_old_connections()
        response = cast("HttpResponse", self.get_response(self.request_class(environ)))
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]


_whole, _keyed, _busiest = WSGIHandler(), _KeyedHandler(), _PlainHandler(BUSIEST)
gc.freeze()  # what the process has loaded stays: the collector need not look through it again


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Choose the stack by path and by how the caller says who it is."""
    path = environ["PATH_INFO"]
    keyed = "HTTP_APIKEY" in environ or "HTTP_AUTHORIZATION" in environ or "HTTP_X_SIGNATURE" in environ
    if keyed and path.startswith(BUSY):
        return _busiest.answer(environ, start_response) if path == BUSIEST else _keyed(environ, start_response)
    return _whole(environ, start_response)
