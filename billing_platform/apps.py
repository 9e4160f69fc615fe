from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from billing_platform import celery, checks


class BillingPlatformConfig(AppConfig):
    name = "billing_platform"
    verbose_name = _("Platform")

    def ready(self) -> None:
        celery.app.set_default()  # so that every process rings the same doorbells
        checks.register_checks()
