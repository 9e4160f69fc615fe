"""No page speaks two languages: every message of ours and of the admin theme has its Chinese."""

from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
import unfold
from django.utils.translation import override, trans_real

from billing_platform import settings
from tests.billing_platform.messages import message_ids

PLATFORM = settings.BASE_DIR / "billing_platform"


@pytest.fixture
def chinese() -> Iterator[object]:
    with override("zh-hans"):
        yield trans_real.translation("zh-hans")._catalog


@pytest.mark.parametrize("package", [PLATFORM, Path(unfold.__file__).parent], ids=["ours", "theme"])
def test_every_message_is_translated(package: Path, chinese: dict[object, str]) -> None:
    ids = message_ids(package)

    untranslated = {message for message in ids if not (chinese.get(message) or chinese.get((message, 0)))}

    assert len(ids) > 100
    assert untranslated == set()


@pytest.mark.parametrize("folder", ["locale", "theme_locale"])
def test_the_compiled_catalogue_is_the_written_one(folder: str) -> None:
    written = PLATFORM / folder / "zh_Hans" / "LC_MESSAGES" / "django.po"
    catalogue, compiled = polib.pofile(str(written)), polib.mofile(str(written.with_suffix(".mo")))

    assert {entry.msgid: entry.msgstr for entry in catalogue} == {entry.msgid: entry.msgstr for entry in compiled}
    assert catalogue.untranslated_entries() == []
    assert catalogue.fuzzy_entries() == []
    assert not any(entry.obsolete for entry in catalogue)


def test_placeholders_are_the_same_in_both_languages() -> None:
    for entry in polib.pofile(str(PLATFORM / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po")):
        names = [part.partition(")")[0] for part in entry.msgid.split("%(")[1:]]
        assert [part.partition(")")[0] for part in entry.msgstr.split("%(")[1:]] == names, entry.msgid
