"""The schema and its browser, for every known caller. DRF describes its views; plain doors are added here."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from billing_platform.auth import Audience, audience
from billing_platform.models import Role, Scope

PEOPLE = audience(roles=tuple(Role.values))
EVERY_CALLER = audience(roles=tuple(Role.values), scopes=tuple(Scope.values))
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_PARAMETER = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_KINDS = {"int": "integer"}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
    },
}


class SchemaView(SpectacularAPIView):
    """OpenAPI 3 of every REST door."""

    audience = EVERY_CALLER


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from local files, without inline scripts."""

    audience = PEOPLE
    url_name = "schema"


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself when it is made
    """How a program says who it is."""

    target_class = "billing_platform.api.CallerAuthentication"
    name = "apikey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "apikey", "description": "<id>.<secret>"}


def doors(patterns: "list[URLPattern | URLResolver] | None" = None, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """(path, view) of every plain view behind a door, as the router has them."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        written = str(pattern.pattern)
        regular = isinstance(pattern.pattern, RegexPattern)
        path = prefix + (simplify_regex(written).lstrip("/") if regular else written)
        if isinstance(pattern, URLResolver):
            yield from doors(pattern.url_patterns, path)
        elif hasattr(pattern.callback, "audience") and not hasattr(pattern.callback, "cls"):
            yield path, pattern.callback


def audiences_of(view: Any) -> Mapping[str, Audience]:
    """Whom a door serves, method by method."""
    named = view.audience
    return named if isinstance(named, Mapping) else dict.fromkeys(view.methods, named)


def add_doors(result: dict[str, Any], generator: Any, request: HttpRequest | None, public: Any) -> dict[str, Any]:
    """Put the doors under /api/ beside what the schema has already."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    for path, view in doors():
        if path.startswith("/api/"):
            shown = _PARAMETER.sub(r"{\g<name>}", path)
            result["paths"].setdefault(shown, {}).update(_operations(path, view))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _operations(path: str, view: Any) -> dict[str, Any]:
    return {method.lower(): _operation(path, view, method, served) for method, served in audiences_of(view).items()}


def _operation(path: str, view: Any, method: str, served: Audience) -> dict[str, Any]:
    summary, _, description = (view.__doc__ or view.__name__).strip().partition("\n")
    needs = [f"roles: {', '.join(sorted(served.roles))}"] if served.roles else []
    needs += [f"scopes: {', '.join(sorted(served.scopes))}"] if served.scopes else []
    operation: dict[str, Any] = {
        "operationId": f"{view.__module__.replace('.', '_')}_{view.__name__}_{method.lower()}",
        "tags": [view.__module__.partition(".")[0]],
        "summary": summary,
        "description": "\n\n".join(filter(None, [re.sub(r"\s+", " ", description).strip(), "; ".join(needs)])),
        "parameters": [
            {"in": "path", "name": name, "required": True, "schema": {"type": _KINDS.get(kind, "string")}}
            for kind, name in _PARAMETER.findall(path)
        ],
        "responses": {
            "default": {
                "description": "Refused",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
            "2XX": {"description": "Done", "content": {"application/json": {"schema": {}}}},
        },
    }
    if not served.everybody:
        operation["security"] = [{"apikey": []}]
    if method in WITH_BODY:
        operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return operation
