"""Addresses of the ledger, under /api/v1/."""

from django.urls import path

from ledger import api

urlpatterns = [
    path("accounts/<str:accno>", api.account_view, name="account"),
    path("accounts/<str:accno>/transfers", api.transfers_view, name="account_transfers"),
    path("accounts/<str:accno>/top-ups", api.top_ups_view, name="account_top_ups"),
    path("accounts/<str:accno>/adjustments", api.adjustments_view, name="account_adjustments"),
    path("accounts/<str:accno>/adjustments/<int:adjustment_id>/approve", api.approve_view, name="adjustment_approve"),
    path("accounts/<str:accno>/adjustments/<int:adjustment_id>/reject", api.reject_view, name="adjustment_reject"),
]
