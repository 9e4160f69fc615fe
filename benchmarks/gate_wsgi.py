"""The site with two views more: the same answer with and without the charge gate, so that its price can be told."""

from django.conf import settings

from billing_platform.wsgi import application

__all__ = ["application"]
settings.ROOT_URLCONF = "benchmarks.gate_urls"
