"""Addresses of this room, below /api/v1/."""

from django.urls import path, re_path

from cdr import api, hooks

urlpatterns = [
    path("cdrs", api.cdrs_view, name="cdrs"),
    path("cdrs/<int:record_id>", api.record_view, name="cdr"),
    path("cdrs/<int:record_id>/explain", api.explain_view, name="cdr_explain"),
    re_path(
        r"^providers/(?P<code>[^/]{1,64})/(?P<hook_token>[^/]{1,200})/(?P<kind>cdr|status|auth|recording)$",
        hooks.hook_view,
        name="provider_hook",
    ),
]
