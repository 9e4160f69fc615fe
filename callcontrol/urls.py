"""Addresses of this room."""

from django.urls import path

from callcontrol import pages
from callcontrol.api import CallbackViewSet, events_view

urlpatterns = [
    path("", pages.home, name="home"),
    path("agent/", pages.desk_page, name="agent_desk"),
    path("agent/calls/", pages.history_page, name="agent_calls"),
    path("agent/calls/<str:reference>/", pages.call_page, name="agent_call"),
    path("api/v1/callbacks", CallbackViewSet.as_view({"get": "list", "post": "create"}), name="callbacks"),
    path("api/v1/callbacks/quote", CallbackViewSet.as_view({"post": "quote"}), name="callback_quote"),
    path("api/v1/callbacks/<str:reference>", CallbackViewSet.as_view({"get": "retrieve"}), name="callback"),
    path(
        "api/v1/callbacks/<str:reference>/cancel", CallbackViewSet.as_view({"post": "cancel"}), name="callback_cancel"
    ),
    path("api/v1/callbacks/<str:reference>/events", events_view, name="callback_events"),
]
