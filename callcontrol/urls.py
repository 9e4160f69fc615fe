"""Addresses of this room."""

from django.urls import path

from callcontrol import dispute_api, dispute_pages, pages
from callcontrol.api import CallbackViewSet, events_view

urlpatterns = [
    path("", pages.home, name="home"),
    path("agent/", pages.desk_page, name="agent_desk"),
    path("agent/calls/", pages.history_page, name="agent_calls"),
    path("agent/calls/<str:reference>/", pages.call_page, name="agent_call"),
    path("agent/calls/<str:reference>/dispute/", dispute_pages.open_page, name="dispute_open"),
    path("agent/disputes/", dispute_pages.disputes_page, name="agent_disputes"),
    path("agent/disputes/<int:dispute_id>/answer/", dispute_pages.answer_page, name="dispute_answer"),
    path("agent/disputes/<int:dispute_id>/withdraw/", dispute_pages.withdraw_page, name="dispute_withdraw"),
    path("api/v1/disputes", dispute_api.disputes_view, name="disputes"),
    path("api/v1/disputes/<int:dispute_id>", dispute_api.dispute_view, name="dispute"),
    path("api/v1/disputes/<int:dispute_id>/answer", dispute_api.answer_view, name="dispute_api_answer"),
    path("api/v1/disputes/<int:dispute_id>/withdraw", dispute_api.withdraw_view, name="dispute_api_withdraw"),
    path("api/v1/callbacks", CallbackViewSet.as_view({"get": "list", "post": "create"}), name="callbacks"),
    path("api/v1/callbacks/quote", CallbackViewSet.as_view({"post": "quote"}), name="callback_quote"),
    path("api/v1/callbacks/<str:reference>", CallbackViewSet.as_view({"get": "retrieve"}), name="callback"),
    path(
        "api/v1/callbacks/<str:reference>/cancel", CallbackViewSet.as_view({"post": "cancel"}), name="callback_cancel"
    ),
    path("api/v1/callbacks/<str:reference>/events", events_view, name="callback_events"),
]
