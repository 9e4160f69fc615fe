"""The schema and its browser: for whoever is logged in or holds a key."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from billing_platform.auth import audience
from billing_platform.models import Role, Scope

PEOPLE = audience(roles=tuple(Role.values))
EVERY_CALLER = audience(roles=tuple(Role.values), scopes=tuple(Scope.values))


class SchemaView(SpectacularAPIView):
    """OpenAPI 3 of every REST door."""

    audience = EVERY_CALLER


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from local files, without inline scripts."""

    audience = PEOPLE
    url_name = "schema"
