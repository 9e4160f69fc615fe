"""The site with two views more: the same answer with and without the charge gate, so that its price can be told."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")
settings.ROOT_URLCONF = "benchmarks.gate_urls"
application = get_wsgi_application()
