"""Addresses of rating, under /api/v1/."""

from django.urls import path

from rating import api

urlpatterns = [
    path("rates/explain", api.explain_view, name="rate_explain"),
    path("decks", api.decks_view, name="decks"),
    path("decks/<int:deck_id>", api.deck_view, name="deck"),
]
