"""Who serves a number: carriers, and the blocks of numbers they were given."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Carrier(models.Model):
    """A telephone company; a virtual operator names the company whose network it uses."""

    code = models.CharField(_("code"), max_length=20, unique=True)
    name_zh = models.CharField(_("Chinese name"), max_length=60)
    name_en = models.CharField(_("English name"), max_length=60, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("network of")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("carrier"), _("carriers")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class NumberSegment(models.Model):
    """Numbers whose key begins with `prefix` belong to a carrier; the longest prefix that is valid wins, and of two on
    the same prefix the one entered last.

    A ported number is a segment as long as the number itself, with source "ported"; its period counts whole seconds.
    """

    class Confidence(models.TextChoices):
        HIGH = "high", _("high")
        LOW = "low", _("low")

    prefix = models.CharField(_("prefix (key)"), max_length=20)
    carrier = models.ForeignKey(Carrier, models.PROTECT, related_name="+", verbose_name=_("carrier"))
    kind = models.CharField(_("kind"), max_length=16, default="mobile")
    area = models.CharField(_("area code"), max_length=4, blank=True)
    city_zh = models.CharField(_("Chinese city name"), max_length=60, blank=True)
    city_en = models.CharField(_("English city name"), max_length=60, blank=True)
    source = models.CharField(_("source"), max_length=40, default="by hand")
    confidence = models.CharField(_("confidence"), max_length=4, choices=Confidence.choices, default=Confidence.HIGH)
    valid_from = models.DateTimeField(_("valid from"), null=True, blank=True)
    valid_to = models.DateTimeField(_("valid to"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("number segment"), _("number segments")
        constraints = [
            models.UniqueConstraint(
                fields=["prefix", "source", "valid_from"], name="segment_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(prefix__regex=r"^[0-9.]{1,20}$"), name="segment_prefix_digits"),
            models.CheckConstraint(
                condition=models.Q(valid_to__isnull=True)
                | models.Q(valid_from__isnull=True)
                | models.Q(valid_to__gt=models.F("valid_from")),
                name="segment_period",
            ),
            models.CheckConstraint(
                condition=~models.Q(source="ported") | models.Q(prefix__regex=r"^[1-9][0-9]{9,14}$"),
                name="segment_ported_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix} {self.carrier_id}"


class SelectionPrefix(models.Model):
    """An access code dialled in front of a complete number (IP telephony, carrier selection); it is cut off."""

    prefix = models.CharField(_("prefix as dialled"), max_length=8, unique=True)
    name = models.CharField(_("name"), max_length=60, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("selection prefix"), _("selection prefixes")
        ordering = ["prefix"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(prefix__regex=r"^[1-9][0-9]{2,7}$"), name="selection_prefix_digits"
            )
        ]

    def __str__(self) -> str:
        return self.prefix
