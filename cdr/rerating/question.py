"""What a re-rating or a what-if is asked about: the form, the address that says the same, the command's arguments."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from rating.decks import load_version
from rating.errors import DeckUnknown

SEVERAL_MAX = 50
NAME_MAX = 64
REASON_MAX = 300
_MONTH = r"\A20[0-9]{2}-(0[1-9]|1[0-2])\Z"
_VERSION = re.compile(r"([^\s:]{1,64}):([0-9]{1,9})").fullmatch
_SEPARATORS = re.compile(r"[\s,;，；、]+")
ADJUST, DEFAULT_RATE = "adjust", "default_rate"
OF_THE_ACT = ("--apply", "--confirm=", "--reason=")  # what an apply adds to the question


@dataclass(frozen=True, slots=True)
class Question:
    """Which charges of a month, at which prices; "" and () do not narrow. Named as the address names it.

    `what_if`: a version in place of its deck; without it today's tariffs. `deck`: priced by this version.
    """

    period: str
    account: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    carrier: tuple[str, ...] = ()
    deck: str = ""
    flag: str = ""
    use: str = ""
    what_if: str = ""
    closed: str = ""
    reason: str = ""

    @property
    def query(self) -> str:
        """As the address has it, the same question always the same."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode({name: value for name, value in told.items() if value}, doseq=True)

    def arguments(self, organization: str) -> list[str]:
        """What stands behind `manage.py rerate` for the accounts of an organisation; the reason goes with the act."""
        given: list[tuple[str, str]] = [("period", self.period), ("organization", organization)]
        for name in ("account", "prefix", "carrier"):
            given += [(name, one) for one in getattr(self, name)]
        given += [
            ("deck-version", self.deck), ("flag", self.flag), ("use", self.use), ("what-if", self.what_if),
            ("include-closed", self.closed), ("processes", "1"),  # a worker has others beside it
        ]  # fmt: skip
        return [f"--{name}={value}" for name, value in given if value]


def question_of(arguments: Collection[str], *, organization: str) -> Question | None:
    """The question that a run was asked by this organisation; None for one that none of its pages asked."""
    told: dict[str, list[str]] = {}
    for argument in arguments:
        name, _sign, value = argument.removeprefix("--").partition("=")
        told.setdefault(name, []).append(value)
    if told.get("organization") != [organization] or "period" not in told:
        return None
    one = {name: told.get(name, [""])[0] for name in ("period", "deck-version", "flag", "use", "what-if", "reason")}
    several = {name: tuple(told.get(name, ())) for name in ("account", "prefix", "carrier")}
    question = Question(
        period=one["period"], deck=one["deck-version"], flag=one["flag"], use=one["use"], what_if=one["what-if"],
        closed=told.get("include-closed", [""])[0], reason=one["reason"], **several,
    )  # fmt: skip
    given = [argument for argument in arguments if not argument.startswith(OF_THE_ACT)]
    return question if given == question.arguments(organization) else None


class Several(forms.CharField):
    """Words between blanks or commas, and each of them as the pattern has it."""

    def __init__(self, *, label: Any, pattern: str) -> None:
        super().__init__(label=label, required=False, max_length=SEVERAL_MAX * NAME_MAX)
        self._fits = re.compile(pattern).fullmatch

    def clean(self, value: Any) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(filter(None, _SEPARATORS.split(super().clean(value)))))
        if len(words) > SEVERAL_MAX:
            raise ValidationError(_("At most %(limit)d at once."), params={"limit": SEVERAL_MAX})
        wrong = [word for word in words if not self._fits(word)]
        if wrong:
            raise ValidationError(_("This cannot be read: %(what)s"), params={"what": ", ".join(wrong)[:NAME_MAX]})
        return words


class QuestionForm(forms.Form):
    """The question of the page, as the address has it. `organization`: whose accounts may be asked about."""

    period = forms.RegexField(
        _MONTH, label=_("Month"), error_messages={"invalid": _("A month, as in 2026-10.")}, max_length=7
    )
    account = Several(label=_("Accounts"), pattern=r"[A-Za-z0-9-]{1,32}")
    prefix = Several(label=_("Prefixes"), pattern=r"[0-9]{1,20}")  # type: ignore[assignment]  # not the form's own
    carrier = Several(label=_("Carriers"), pattern=r"[\w-]{1,32}")
    deck = forms.CharField(label=_("Priced by version"), required=False, max_length=80)
    what_if = forms.CharField(label=_("What if: version"), required=False, max_length=80)
    use = forms.RegexField(r"\A[0-9]{1,18}\Z", label=_("Charge number"), required=False)
    flag = forms.ChoiceField(
        choices=[("", ""), (DEFAULT_RATE, _("priced by the default rate"))], required=False,
        label=_("Only calls that had no rate"),
    )  # fmt: skip
    closed = forms.ChoiceField(
        choices=[("", ""), (ADJUST, _("adjust"))], required=False, label=_("Adjust closed periods in the open one")
    )
    reason = forms.CharField(label=_("Reason"), required=False, max_length=REASON_MAX)

    def __init__(self, asked: Mapping[str, Any] | None, *, organization: str) -> None:
        super().__init__(asked)
        self._organization = organization

    def clean_account(self) -> tuple[str, ...]:
        """Of this organisation; one of another is as unknown as one that does not exist."""
        named: tuple[str, ...] = self.cleaned_data["account"]
        missing = set(named) - _accounts_among(named, self._organization)
        if missing:
            raise ValidationError(_("There is no such account: %(what)s"), params={"what": ", ".join(sorted(missing))})
        return named

    def clean_deck(self) -> str:
        return _known_version(self.cleaned_data["deck"])

    def clean_what_if(self) -> str:
        return _known_version(self.cleaned_data["what_if"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("what_if") and cleaned.get("closed"):
            self.add_error("closed", _("A what-if adjusts nothing."))
        return cleaned

    @property
    def question(self) -> Question:
        """What was asked, once it is valid."""
        return Question(**self.cleaned_data)


def asked_in(query: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an address, several values of a name as one text."""
    several = getattr(query, "getlist", None)
    names = [field.name for field in fields(Question)]
    return {name: " ".join(several(name)) if several else str(query.get(name, "")) for name in names}


def _accounts_among(accnos: tuple[str, ...], organization: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT accno FROM ledger_account_facts WHERE organization = %s AND accno = ANY(%s)",
            [organization, list(accnos)],
        )
        return {accno for (accno,) in cursor.fetchall()}


def _known_version(text: str) -> str:
    """`retail:8`, as it was typed, once there is such a version."""
    text = text.strip()
    if not text:
        return ""
    found = _VERSION(text)
    if found is None:
        raise ValidationError(_("A rate deck and its version, as in retail:8."))
    try:
        load_version(found[1], int(found[2]))
    except DeckUnknown as unknown:
        raise ValidationError(_("There is no such version.")) from unknown
    return text
