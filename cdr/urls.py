"""Addresses of this room, below /api/v1/."""

from django.urls import path, re_path

from cdr import api, hooks, recording_api

urlpatterns = [
    path("cdrs", api.cdrs_view, name="cdrs"),
    path("cdrs/recordings", recording_api.recordings_view, name="cdr_recordings"),
    path("cdrs/<int:record_id>/recording", recording_api.recording_view, name="cdr_recording"),
    path("cdrs/<int:record_id>", api.record_view, name="cdr"),
    path("cdrs/<int:record_id>/explain", api.explain_view, name="cdr_explain"),
    re_path(
        r"^providers/(?P<code>[^/]{1,64})/(?P<hook_token>[^/]{1,200})/(?P<kind>cdr|status|auth|recording)$",
        hooks.hook_view,
        name="provider_hook",
    ),
]
