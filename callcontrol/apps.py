from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from callcontrol.checks import register_checks


class CallcontrolConfig(AppConfig):
    name = "callcontrol"
    verbose_name = _("Call control")

    def ready(self) -> None:
        register_checks()
