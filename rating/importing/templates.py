"""How each supplier's files are read, kept by name. 导入模板."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.errors import ValidationFailed
from billing_platform.trail import record_act
from rating.errors import TemplateUnknown, TemplateUnreadable
from rating.formats.template import FORMATS, FileTemplate, TemplateRefused
from rating.models import Deck, ImportTemplate

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}").fullmatch


@transaction.atomic  # the template and its audit row
def save_template(
    code: str, options: Mapping[str, Any], *, caller: Caller, name: str = "", deck: Deck | None = None
) -> ImportTemplate:
    """Keep a template under this code, in place of what it said before.

    Raises TemplateUnreadable, ValidationFailed for a code that is not 1 to 40 letters, digits, dots or dashes.
    """
    if not _CODE(code):
        raise ValidationFailed(errors={"code": ["1 to 40 of A-Z a-z 0-9 . _ -"]})
    template = read_template(options)
    before = ImportTemplate.objects.filter(code=code).values_list("options", flat=True).first()
    stored = template.to_json()
    facts = {"name": name[:100], "deck": deck, "format": template.format, "options": stored}
    kept, _new = ImportTemplate.objects.update_or_create(
        code=code, defaults=facts, create_defaults={**facts, "created_by": caller.actor}
    )
    record_act(caller, "template.save", target=("importtemplate", code), change=(before, stored))
    return kept


def find_template(name: str, *, deck: Deck) -> FileTemplate:
    """What is kept under this name for the deck or for all, else the format of this name; "" detects everything.

    Raises TemplateUnknown.
    """
    kept = ImportTemplate.objects.filter(code=name).first() if name else None
    if kept is not None and kept.deck_id in (None, deck.pk):
        return read_template(kept.options)
    if name and name not in FORMATS:
        raise TemplateUnknown(template=name)
    return FileTemplate(format=name)


def read_template(options: Mapping[str, Any]) -> FileTemplate:
    """The template behind its JSON. Raises TemplateUnreadable."""
    try:
        return FileTemplate.from_json(options)
    except TemplateRefused as refused:
        raise TemplateUnreadable(key=refused.key) from refused
