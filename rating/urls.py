"""Addresses of rating, under /api/v1/."""

from django.urls import path

from rating import api
from rating.importing import api as import_api

urlpatterns = [
    path("rates/explain", api.explain_view, name="rate_explain"),
    path("decks", api.decks_view, name="decks"),
    path("decks/<int:deck_id>", api.deck_view, name="deck"),
    path("decks/<str:deck>/imports", import_api.imports_view, name="deck_imports"),
    path("decks/<str:deck>/imports/<int:number>", import_api.import_view, name="deck_import"),
    path("decks/<str:deck>/imports/<int:number>/errors", import_api.errors_view, name="deck_import_errors"),
    path("decks/<str:deck>/imports/<int:number>/apply", import_api.apply_view, name="deck_import_apply"),
    path("decks/<str:deck>/imports/<int:number>/discard", import_api.discard_view, name="deck_import_discard"),
]
