"""The door for a WSGI server (granian, gunicorn).

What programs send with a key to the busy doors passes a short middleware stack: a key needs no session, no message, no
lock-out. Everything else, people above all, passes the whole one.
"""

import os
from collections.abc import Iterable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
django.setup(set_prefix=False)

BUSY = ("/api/v1/cdrs", "/api/v1/providers/", "/api/v1/callbacks", "/api/billaccounts/", "/onlyuser/")
SHORT_STACK = frozenset({
    "billing_platform.edge.EdgeMiddleware", "billing_platform.edge.LanguageMiddleware",
    "callcontrol.middleware.BillingMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.security.SecurityMiddleware",
})  # fmt: skip


class _KeyedHandler(WSGIHandler):
    """Django's handler with the layers that a keyed request needs, in the order of the settings."""

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002  Django's signature
        whole = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in whole if name in SHORT_STACK]
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole


_whole, _keyed = WSGIHandler(), _KeyedHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Choose the stack by path and by how the caller says who it is."""
    keyed = "HTTP_APIKEY" in environ or "HTTP_AUTHORIZATION" in environ or "HTTP_X_SIGNATURE" in environ
    handler = _keyed if keyed and environ["PATH_INFO"].startswith(BUSY) else _whole
    return handler(environ, start_response)
