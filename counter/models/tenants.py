"""Who pays: organisations, applications, and the accounts bound to them, from when until when."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from counter.models.fields import account_field


class Organization(models.Model):
    """A tenant; other rooms name it by its code."""

    ORGANIZATION_PATH = "code"

    code = models.CharField(_("code"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=200)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("parent")
    )
    zone = models.CharField(_("time zone"), max_length=64, default="Asia/Shanghai")
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name, verbose_name_plural = _("organisation"), _("organisations")

    def __str__(self) -> str:
        return self.name


class Application(models.Model):
    """A program that organisations use services through."""

    code = models.CharField(_("application id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        verbose_name, verbose_name_plural = _("application"), _("applications")

    def __str__(self) -> str:
        return self.name


class AccountBinding(models.Model):
    """Which account pays for an organisation (in one application, or in all), from when until when."""

    account = account_field(verbose_name=_("account"))
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", verbose_name=_("organisation"))
    application = models.ForeignKey(
        Application, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("application")
    )
    valid_from = models.DateTimeField(_("from"), db_default=Now())
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("account binding"), _("account bindings")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")), name="binding_period"
            ),
            models.UniqueConstraint(
                fields=["organization", "application"],
                condition=Q(valid_until__isnull=True),
                nulls_distinct=False,
                name="binding_one_open",
            ),
        ]
        indexes = [models.Index(fields=["organization", "application", "-valid_from"], name="binding_by_organization")]

    def __str__(self) -> str:
        return f"{self.organization_id} -> {self.account_id}"


class DirectoryGeneration(models.Model):
    """One row, raised by triggers whenever the answer to "who pays" may have changed."""

    number = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.number)
