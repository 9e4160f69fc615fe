"""Addresses of the pages of this room, under /cdr/."""

from django.urls import path

from cdr import pages

urlpatterns = [
    path("<int:record_id>/", pages.record_page, name="cdr_record"),
]
