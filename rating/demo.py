"""The demo's decks: a retail deck with the usual destinations, and the default deck that catches everything."""

from datetime import UTC, datetime

from django.conf import settings

from billing_platform.auth import Caller
from billing_platform.demo import Demo
from rating import tariffs
from rating.decks import Publication, latest_version
from rating.importing.imports import ImportOrder, apply_import
from rating.models import Deck, TariffProfile

RETAIL = "demo-retail"
CATEGORY = "callback"
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)  # calls of earlier months are rated in the demo too
_SEEDER = Caller("task", "demo")

_RETAIL_FILE = """\
#!deck currency=CNY zone=Asia/Shanghai numbering=national rounding=half_up decimals=4
#!band evening from=21:00 to=07:00
#!band peak days=workday from=09:00 to=18:00
prefix,destination,band,rate,first_increment,next_increment,connect_fee,blocked
,其他,,0.30,60,60,,
00,国际,,3.60,60,60,,
00852,香港,,0.60,60,6,,
010,北京,,0.12,60,6,,
021,上海,,0.10,60,6,,
021,上海,peak,0.12,60,6,0.05,
13,移动电话,,0.15,60,6,,
15,移动电话,,0.15,60,6,,
18,移动电话,,0.15,60,6,,
18,移动电话,evening,0.09,60,6,,
400,400 业务,,0.20,60,60,,
96,声讯服务,,0.60,60,60,0.30,
12590,付费声讯,,0,60,60,,true
"""
_DEFAULT_FILE = """\
#!deck currency=CNY zone=Asia/Shanghai numbering=national rounding=half_up decimals=4
prefix,destination,rate,first_increment,next_increment
,默认,0.60,60,60
"""


def seed(demo: Demo) -> None:
    """Publish both decks and assign the retail deck to everybody's callbacks; again: nothing to do."""
    _seed_deck(RETAIL, name=("演示零售费率", "Demo retail"), content=_RETAIL_FILE)
    _seed_deck(settings.RATING_DEFAULT_DECK, name=("默认费率", "Default rates"), content=_DEFAULT_FILE)
    TariffProfile.objects.get_or_create(
        tenant=demo.organization, category=CATEGORY, subject=tariffs.ANYBODY, active_from=None,
        defaults={"family": RETAIL},
    )  # fmt: skip
    demo.created["deck.retail"] = RETAIL
    tariffs.refresh()


def _seed_deck(code: str, *, name: tuple[str, str], content: str) -> None:
    deck, _new = Deck.objects.get_or_create(code=code, defaults={"name_zh": name[0], "name_en": name[1]})
    if latest_version(deck) is None:
        publication = Publication(effective_from=ALWAYS, reason="demo")
        order = ImportOrder(code, content.encode(), file_name=f"{code}.csv", publication=publication)
        apply_import(order, caller=_SEEDER)
