"""Who reports calls, and by which rules calls are left free."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Provider(models.Model):
    """A sender of call records: a platform with a webhook, or an organisation's own sender at the API (`native`).

    A webhook's code is unique; a native sender's is unique within its organisation. Only hashes of the hook tokens
    are kept; the signing secrets are encrypted. In a rotation the old token and the old secret live on for a while.
    """

    class Platform(models.TextChoices):
        NATIVE = "native", _("our own API")
        GENERIC = "generic", _("generic platform")

    code = models.CharField(_("code"), max_length=64)
    platform = models.CharField(_("platform"), max_length=20, choices=Platform.choices)
    organization = models.CharField(_("fixed organisation"), max_length=64, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, default="Asia/Shanghai")
    enabled = models.BooleanField(_("enabled"), default=True)
    key_name = models.CharField(_("key of the sender"), max_length=64, blank=True)
    hook_token_hash = models.BinaryField(max_length=32, null=True)
    previous_token_hash = models.BinaryField(max_length=32, null=True)
    previous_token_until = models.DateTimeField(_("old hook token valid until"), null=True, blank=True)
    secret = models.BinaryField(null=True)
    previous_secret = models.BinaryField(null=True)
    previous_secret_until = models.DateTimeField(_("old secret valid until"), null=True, blank=True)
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True, verbose_name=_("source networks"))
    acknowledgement = models.CharField(
        _("own acknowledgement"), max_length=300, blank=True,
        help_text=_("Text of the answer, where it differs from the platform's."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("provider"), _("providers")
        constraints = [
            models.UniqueConstraint(fields=["code"], condition=~Q(platform="native"), name="provider_code_once"),
            models.UniqueConstraint(
                fields=["organization", "code"], condition=Q(platform="native"), name="provider_sender_once"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class FilterRule(models.Model):
    """A rule of the filter chain. Whoever changes its parameters raises its version: decisions name it."""

    code = models.CharField(_("rule"), max_length=40, unique=True)
    position = models.PositiveSmallIntegerField(_("order"))
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name, verbose_name_plural = _("filter rule"), _("filter rules")

    def __str__(self) -> str:
        return self.code
