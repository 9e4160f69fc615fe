"""Addresses of the pages of this room that are no model's, under /admin/rating/."""

from django.urls import path

from rating.explaining import page as explain_page

urlpatterns = [
    path("explain/", explain_page.explain_page, name="rating_explain"),
    path("explain/keep/", explain_page.keep_page, name="rating_explain_keep"),
    path("explain/drop/<int:expectation_id>/", explain_page.drop_page, name="rating_explain_drop"),
]
