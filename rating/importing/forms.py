"""Forms of the import wizard: the file and what it is to do, how it is read, when its draft takes effect."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from rating.admin.forms import PublishForm
from rating.errors import TemplateUnreadable
from rating.formats.table import FILE_BYTES
from rating.formats.template import (
    BLANKS,
    CORRECTION,
    DASHES,
    DELIMITERS,
    ENCODINGS,
    FIELDS,
    FORMATS,
    HEADER_ROWS,
    IGNORED,
    INCREMENT,
    MINUTE,
    NOW,
    REJECT,
    SECOND,
    STRIPS,
    FileTemplate,
)
from rating.importing.pages import CELL_MAX, ShownColumn, unusable
from rating.importing.templates import find_template, read_template
from rating.messages import message_of
from rating.models import Deck, DeckImport, ImportTemplate, Rate

DETECT = ""
TEMPLATES_MAX, SHEETS_MAX = 200, 100  # offered
DELIMITER_NAMES: Mapping[str, Any] = {",": _("comma ,"), ";": _("semicolon ;"), "\t": _("TAB"), "|": _("bar |")}
STRIP_NAMES: Mapping[str, Any] = {BLANKS: _("blanks"), DASHES: _("dashes")}
OTHER_FIELDS: Mapping[str, Any] = {
    "country_code": _("country code, in front of the prefix"),
    "increments": _("both increments: 60/6"),
    "currency": _("currency"),
    "change": _("what the supplier calls the change"),
}
# The fields of the form that are options of a template as they stand, by where the page shows them.
READING = ("format", "encoding", "delimiter", "sheet", "header_row")
MEANING = ("rate_unit", "currency", "decimal_comma", "date_layout", "past_dates", "grace", "patterns", "strip")


def _choice(label: Any, choices: Iterable[tuple[str, Any]], **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=[(DETECT, _("as detected")), *choices], **options)


def _plainly(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


class UploadForm(forms.Form):
    """A file, and what it is to do with the prefixes that it does not list: chosen by a person, never guessed."""

    file = forms.FileField(label=_("deck file"), help_text=_("CSV, text, XLSX or XLS, at most 100 MiB"))
    mode = forms.ChoiceField(
        label=_("what happens to prefixes that are not listed"), choices=DeckImport.Mode.choices,
        widget=forms.RadioSelect,
    )  # fmt: skip
    template = forms.ChoiceField(label=_("how to read it"), required=False)
    reason = forms.CharField(label=_("reason"), required=False, max_length=300)
    sending = forms.CharField(widget=forms.HiddenInput, max_length=40)

    def __init__(self, *args: Any, deck: Deck, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deck = deck
        field = self.fields["template"]
        assert isinstance(field, forms.ChoiceField)  # declared above
        field.choices = [(DETECT, _("detect")), (_("saved templates"), _saved(deck)), (_("formats"), _plainly(FORMATS))]
        self.fields["sending"].initial = uuid4().hex  # a form that is sent twice is one import

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if (file.size or 0) > FILE_BYTES:
            raise forms.ValidationError(_fault("E_LIMIT"), code="E_LIMIT")
        return file

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            cleaned["content"] = cleaned["file"].read()
            cleaned["reading"] = find_template(cleaned["template"], deck=self._deck)
            fault = unusable(cleaned["content"], self._deck, cleaned["reading"])
            if fault is not None:
                told = f"{_fault(fault.code)}: {fault.value}" if fault.value else _fault(fault.code)
                self.add_error("file", forms.ValidationError(told, code=fault.code))
        return cleaned


class MappingForm(forms.Form):
    """How the file is read, column by column; what it says becomes a template."""

    mode = forms.ChoiceField(label=_("mode"), choices=DeckImport.Mode.choices)
    format = _choice(_("format"), _plainly(FORMATS))
    encoding = _choice(_("encoding"), _plainly(ENCODINGS))
    delimiter = _choice(_("delimiter"), [(sign, DELIMITER_NAMES[sign]) for sign in DELIMITERS])
    sheet = _choice(_("sheet"), ())
    header_row = forms.IntegerField(
        label=_("header in row"), required=False, min_value=0, max_value=HEADER_ROWS, help_text=_("empty = as detected")
    )
    rate_unit = _choice(
        _("a rate is the price of"), [(MINUTE, _("a minute")), (SECOND, _("a second")), (INCREMENT, _("an increment"))]
    )
    currency = forms.CharField(
        label=_("currency"), required=False, max_length=3, help_text=_("empty = as the file says")
    )
    decimal_comma = forms.BooleanField(label=_("decimal comma: 0,12"), required=False)
    date_layout = forms.CharField(
        label=_("layout of dates"), required=False, max_length=20,
        help_text=_("DD/MM/YYYY and the like; empty = 2026-12-01"),
    )  # fmt: skip
    past_dates = _choice(
        _("dates that have passed"),
        [(REJECT, _("are errors")), (NOW, _("mean from now on")), (CORRECTION, _("make a correction"))],
    )
    grace = _choice(_("seconds of grace mean"), Rate.FreeKind.choices)
    patterns = forms.BooleanField(label=_("prefixes are patterns: ^44.*"), required=False)
    strip = forms.MultipleChoiceField(
        label=_("cut off prefixes"), required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(name, STRIP_NAMES.get(name, name)) for name in STRIPS],
    )  # fmt: skip
    code = forms.CharField(
        label=_("save as the supplier's template, under the code"), required=False, max_length=40,
        help_text=_("letters, digits, . _ - ; takes the place of what this code says now"),
    )  # fmt: skip
    name = forms.CharField(label=_("name of the template"), required=False, max_length=100)

    def __init__(
        self, *args: Any, before: FileTemplate, columns: Sequence[ShownColumn], sheets: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._before, self._columns = before, columns
        sheet = self.fields["sheet"]
        assert isinstance(sheet, forms.ChoiceField)  # declared above
        sheet.choices = [(DETECT, _("as detected")), *_plainly(sheets[:SHEETS_MAX])]
        targets = [(IGNORED, _("not read")), *((name, field_name(name)) for name in FIELDS)]
        for column in columns:
            if column.can_be_named:
                self.fields[_name(column)] = forms.ChoiceField(
                    label=_("field of column %(title)s") % {"title": column.title[:CELL_MAX]},
                    choices=targets,
                    required=False,
                    initial=column.field,
                )
        for name, value in _initial(before).items():
            self.fields[name].initial = value

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                cleaned["reading"] = read_template(self._options(cleaned))
            except TemplateUnreadable as unreadable:
                key = str(unreadable.fields["key"])
                self.add_error(key if key in self.fields else None, forms.ValidationError(unreadable.title, code=key))
        return cleaned

    def parts(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields that are not columns, in two groups for the page."""
        return [
            (_("The file"), [self[name] for name in ("mode", *READING)]),
            (_("What its cells mean"), [self[name] for name in MEANING]),
        ]

    def rows(self) -> list[tuple[ShownColumn, forms.BoundField | None]]:
        """The columns, each with its choice of a field; a column without a title cannot be named, so it has none."""
        return [(one, self[_name(one)] if _name(one) in self.fields else None) for one in self._columns]

    def _options(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """What the form says, as the options of a template; columns stand there only where they differ."""
        options = {name: cleaned[name] for name in (*READING, *MEANING) if cleaned[name]}
        options["currency"] = cleaned["currency"].upper()
        chosen = {one.title: cleaned[_name(one)] for one in self._columns if _name(one) in self.fields}
        shown = {one.title: one.field for one in self._columns}
        changed = {title: field for title, field in chosen.items() if field != shown[title]}
        options["columns"] = {**self._before.columns, **changed}
        return options


class ScheduleForm(PublishForm):
    """When the file's draft takes effect; error rows are left out only on purpose."""

    skip_errors = forms.BooleanField(
        label=_("leave out the rows with errors"), required=False,
        help_text=_("without this a file with errors is not taken at all"),
    )  # fmt: skip
    field_order: tuple[str, ...] = ("effective_from", "reason", "correction", "skip_errors", "confirm")

    def __init__(self, *args: Any, has_errors: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_errors:
            del self.fields["skip_errors"]


def field_name(name: str) -> str:
    """A field of a rate as people know it, with its name in files."""
    if name in OTHER_FIELDS:
        return f"{name} · {OTHER_FIELDS[name]}"
    try:
        field = Rate._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    called = str(field.verbose_name)  # type: ignore[union-attr]  # rates have no reverse relations
    return name if called == name else f"{name} · {called}"


def _saved(deck: Deck) -> list[tuple[str, str]]:
    kept = ImportTemplate.objects.filter(Q(deck=None) | Q(deck=deck)).order_by("code")[:TEMPLATES_MAX]
    return [(one.code, f"{one.code} · {one.name}" if one.name else one.code) for one in kept]


def _initial(template: FileTemplate) -> dict[str, Any]:
    values = {name: getattr(template, name) for name in (*READING, *MEANING)}
    return {**values, "strip": list(template.strip), "header_row": template.header_row or None}


def _name(column: ShownColumn) -> str:
    return f"column_{column.index}"


def _fault(code: str) -> str:
    return f"{message_of(code)} ({code})"
