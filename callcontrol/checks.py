"""Start-up checks of the gate: each gated handler is what its route really calls, and the middleware is there."""

import inspect
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.urls import URLPattern, URLResolver, get_resolver

MIDDLEWARE = "callcontrol.middleware.BillingMiddleware"
DEPTH_MAX = 8

gated: "weakref.WeakSet[Callable[..., Any]]" = weakref.WeakSet()  # the wrappers that @apiview_charge has made


def check_gates(**_: Any) -> Sequence[CheckMessage]:
    """E001: a route to a gated handler that goes past its gate. E002: the middleware is missing."""
    live = set(_live_functions())
    lost = [gate for gate in gated if gate not in live]
    found: list[CheckMessage] = [
        Error(f"{gate.__module__}.{gate.__qualname__}: no route leads through its charge gate.", id="callcontrol.E001")
        for gate in sorted(lost, key=lambda gate: gate.__qualname__)
    ]
    if MIDDLEWARE not in settings.MIDDLEWARE:
        found.append(Error(f"MIDDLEWARE lacks {MIDDLEWARE}.", id="callcontrol.E002"))
    return found


def register_checks() -> None:
    """Called once, when the app registry is ready."""
    register(check_gates, Tags.urls)


def _live_functions() -> Iterator[Callable[..., Any]]:
    """Every function that some route can reach: views, handlers of view classes, and what these wrap."""
    for view in _views(get_resolver().url_patterns):
        for entry in (view, *_handlers(view)):
            yield from _wrapped(entry, depth=DEPTH_MAX)


def _views(patterns: Sequence[URLPattern | URLResolver]) -> Iterator[Callable[..., Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        else:
            yield pattern.callback


def _handlers(view: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The methods that a class-based view calls: of a viewset those that its route names."""
    view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if view_class is None:
        return []
    names = (getattr(view, "actions", None) or {}).values() or getattr(view_class, "http_method_names", ())
    return [getattr(view_class, name) for name in names if hasattr(view_class, name)]


def _wrapped(entry: Any, *, depth: int) -> Iterator[Callable[..., Any]]:
    """The function and what it calls inside: through __wrapped__, partials, methods and closures."""
    if isinstance(entry, partial):
        entry = entry.func
    entry = inspect.unwrap(entry, stop=lambda inner: inner in gated) if callable(entry) else entry
    entry = getattr(entry, "__func__", entry)
    if not inspect.isfunction(entry):
        return
    yield entry
    if depth == 0 or entry in gated:
        return
    for inner in inspect.getclosurevars(entry).nonlocals.values():
        if inspect.isfunction(inner) or isinstance(inner, partial):
            yield from _wrapped(inner, depth=depth - 1)
