"""The callback platforms that we have accounts with."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class PlatformAccount(models.Model):
    """What placing a call needs. `code` is the provider's everywhere; credentials are encrypted JSON, never shown."""

    code = models.CharField(_("code"), max_length=32, unique=True)
    adapter = models.CharField(_("adapter"), max_length=32)
    organization = models.CharField(_("organisation (empty: all)"), max_length=64, blank=True)
    base_url = models.CharField(_("address"), max_length=300)
    hook_base = models.CharField(_("our address for its hooks"), max_length=300, blank=True)
    credentials = models.BinaryField()
    priority = models.PositiveSmallIntegerField(_("priority (small first)"), default=100)
    enabled = models.BooleanField(_("enabled"), default=True)
    max_seconds = models.PositiveIntegerField(_("own limit of a call (s)"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("platform account"), _("platform accounts")

    def __str__(self) -> str:
        return self.code
