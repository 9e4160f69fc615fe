"""Addresses of the pages of this room, under /cdr/."""

from django.urls import path

from cdr import pages
from cdr.rerating import pages as rerate_pages

urlpatterns = [
    path("rerate/", rerate_pages.rerate_page, name="cdr_rerate"),
    path("rerate/apply/", rerate_pages.apply_page, name="cdr_rerate_apply"),
    path("<int:record_id>/", pages.record_page, name="cdr_record"),
]
