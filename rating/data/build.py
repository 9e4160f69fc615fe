"""Writes the tables of this package from the phonenumbers and chinesecalendar libraries: `python -m rating.data.build`.

Both are needed here alone, on a developer's machine; running processes read what this wrote.
"""

import csv
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path

from chinese_calendar.constants import Holiday, holidays, workdays
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.geodata import GEOCODE_DATA

HERE = Path(__file__).parent
CHINA = "86"
MOBILE_FIRST, MOBILE_END = 1_300_000, 2_000_000  # national mobile numbers, cut to seven digits
CARRIER_CODES = {"China Mobile": "CMCC", "China Unicom": "CUCC", "China Telecom": "CTCC", "China Broadnet": "CBN"}
SOURCES = """\
phonenumbers {numbers} - Apache License 2.0, see LICENSE-Apache-2.0.txt
    areas.csv, countries.csv, cities.csv, mobile_cities.bin, segments.csv: taken from its metadata, carrier and
    geographic tables, which are those of libphonenumber; rearranged, names of shared area codes cut to the first.
chinesecalendar {days} - MIT License
    calendar.csv: holidays and make-up working days from {first} to {last}, by the notices of the State Council.
Our own: carriers.csv, supplement.csv, and the statutory days of calendar.csv after {last}.
"""

# Where the library's data name another city, or only the beginning of the code.
PLACES = {
    "335": ("河北省秦皇岛市", "Qinhuangdao, Hebei"),
    "349": ("山西省朔州市", "Shuozhou, Shanxi"),
    "358": ("山西省吕梁市", "Luliang, Shanxi"),
    "580": ("浙江省舟山市", "Zhoushan, Zhejiang"),
    "701": ("江西省鹰潭市", "Yingtan, Jiangxi"),
}  # fmt: skip
# Cities that share an area code with another, or that the two tables spell differently.
AREAS_OF_CITIES = {
    "天津": "22", "云南省德宏傣族景颇族自治州": "692", "云南省怒江傈僳族自治州": "886", "云南省迪庆藏族自治州": "887",
    "云南省红河哈尼族彝族自治州": "873", "云南省西双版纳傣族自治州": "691", "四川省甘孜藏族自治州": "836",
    "四川省阿坝藏族羌族自治州": "837", "四川省眉山市": "28", "四川省资阳市": "28", "安徽省亳州市": "558",
    "安徽省巢湖市": "551", "山东省莱芜市": "531", "广西南宁市": "771", "广西崇左市": "771", "广西来宾市": "772",
    "广西贵港市": "775", "广西贺州市": "774", "新疆乌鲁木齐市": "991", "河南省开封市": "371", "湖北省潜江市": "728",
    "湖北省神农架林区": "719", "湖北省襄樊市": "710", "湖南省株洲市": "731", "湖南省湘潭市": "731",
    "甘肃省嘉峪关市": "937", "甘肃省甘南藏族自治州": "941", "甘肃省金昌市": "935", "贵州省安顺市": "851",
    "贵州省遵义市": "851", "贵州省黔东南苗族侗族自治州": "855", "贵州省黔南布依族苗族自治州": "854",
    "辽宁省抚顺市": "24", "辽宁省本溪市": "24", "辽宁省铁岭市": "24", "陕西省咸阳市": "29",
}  # fmt: skip
# Spring Festival, Qingming, Dragon Boat and Mid-Autumn of the years whose notice is not out yet.
MOVABLE_DAYS = {
    2027: ("02-06", "04-05", "06-09", "09-15"),
    2028: ("01-26", "04-04", "05-28", "10-03"),
    2029: ("02-13", "04-04", "06-16", "09-22"),
    2030: ("02-03", "04-05", "06-05", "09-12"),
}

Row = Sequence[str]
Place = tuple[str, str]  # the city's Chinese and English name


def build() -> Iterator[str]:
    """Write every table; the names and sizes of the files, one by one."""
    areas = _areas()
    starts, places = _mobile_runs()
    cities = sorted(set(places) - {("", "")})
    yield _write_csv("areas.csv", ("code", "city_zh", "city_en"), [(code, *place) for code, place in areas.items()])
    yield _write_csv("countries.csv", ("code", "regions"), _countries())
    rows = [(*city, _area_of(city[0], areas)) for city in cities]
    yield _write_csv("cities.csv", ("city_zh", "city_en", "area"), rows)
    yield _write("mobile_cities.bin", _packed(starts, [("", ""), *cities], places))
    yield _write_csv("segments.csv", ("prefix", "carrier"), _carrier_segments())
    yield _write_csv(
        "calendar.csv", ("date", "day_class", "provisional", "name_zh", "name_en"), sorted(_days(), key=itemgetter(0))
    )
    first, last = min(holidays).year, max(holidays).year
    told = SOURCES.format(numbers=version("phonenumbers"), days=version("chinesecalendar"), first=first, last=last)
    yield _write("SOURCES.txt", told.encode())


def _areas() -> dict[str, Place]:
    """Chinese area codes without their zero; codes that belong to several cities bear the first one's name."""
    known = {key[2:]: names for key, names in GEOCODE_DATA.items() if key.startswith(CHINA) and _is_area(key[2:])}
    places = {code: (names["zh"].split("、")[0], _first_city(names["en"])) for code, names in known.items()}
    return dict(sorted((places | PLACES).items()))


def _is_area(code: str) -> bool:
    return len(code) == (2 if code[0] in "12" else 3) and not code.startswith(
        ("13", "14", "15", "16", "17", "18", "19")
    )


def _first_city(name: str) -> str:
    """`Shenyang/Tieling, Liaoning` is Shenyang, Liaoning."""
    cities, comma, province = name.partition(", ")
    return cities.split("/")[0] + comma + province


def _countries() -> list[Row]:
    return [(str(code), " ".join(regions)) for code, regions in sorted(COUNTRY_CODE_TO_REGION_CODE.items())]


def _mobile_runs() -> "tuple[array[int], list[Place]]":
    """Runs of seven-digit heads with the same city: where each begins, and the city ("" = none)."""
    starts, places = array("I"), list[Place]()
    for head in range(MOBILE_FIRST, MOBILE_END):
        text = f"{CHINA}{head}"
        names = next((GEOCODE_DATA[text[:size]] for size in range(9, 4, -1) if text[:size] in GEOCODE_DATA), None)
        place = (names["zh"], names["en"]) if names else ("", "")
        if not places or places[-1] != place:
            starts.append(head)
            places.append(place)
    return starts, places


def _area_of(city: str, areas: Mapping[str, Place]) -> str:
    """The area code of a city. Raises StopIteration when nobody has said which."""
    return AREAS_OF_CITIES.get(city) or next(code for code, (name, _) in areas.items() if city.startswith(name))


def _packed(starts: "array[int]", cities: Sequence[Place], places: Sequence[Place]) -> bytes:
    """Compressed: the distances between starts as 32-bit integers, then the numbers of the cities as 16-bit ones."""
    numbers = {city: number for number, city in enumerate(cities)}
    distances = array("I", (after - before for before, after in zip([0, *starts], starts, strict=False)))
    tables = [distances, array("H", (numbers[place] for place in places))]
    if sys.byteorder == "big":
        for table in tables:
            table.byteswap()
    return zlib.compress(b"".join(table.tobytes() for table in tables), level=9)


def _carrier_segments() -> Iterator[Row]:
    for prefix, names in sorted(CARRIER_DATA.items()):
        if prefix.startswith(CHINA + "1"):
            yield prefix, CARRIER_CODES[names["en"]]


def _days() -> Iterator[Row]:
    """The days that are not what their weekday says, or that have a name."""
    for day, name in holidays.items():
        yield day.isoformat(), "holiday", "", Holiday(name).chinese, name
    for day, name in workdays.items():
        yield day.isoformat(), "makeup_workday", "", Holiday(name).chinese, name
    for year, (spring, qingming, dragon_boat, mid_autumn) in MOVABLE_DAYS.items():
        named = {date(year, 10, day): Holiday.national_day for day in (1, 2, 3)}
        named |= {date(year, 5, day): Holiday.labour_day for day in (1, 2)}
        named |= {date(year, 1, 1): Holiday.new_years_day}
        first = date.fromisoformat(f"{year}-{spring}")
        named |= {first + timedelta(days=after): Holiday.spring_festival for after in (-1, 0, 1, 2)}
        movable = {qingming: Holiday.tomb_sweeping_day, dragon_boat: Holiday.dragon_boat_festival}
        movable |= {mid_autumn: Holiday.mid_autumn_festival}
        named |= {date.fromisoformat(f"{year}-{day}"): name for day, name in movable.items()}
        for day, holiday in named.items():
            yield day.isoformat(), "holiday", "yes", holiday.chinese, holiday.value


def _write_csv(name: str, columns: Row, rows: Iterable[Row]) -> str:
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    return f"{name}: {(HERE / name).stat().st_size} bytes"


def _write(name: str, content: bytes) -> str:
    (HERE / name).write_bytes(content)
    return f"{name}: {len(content)} bytes"


if __name__ == "__main__":
    for line in build():
        sys.stdout.write(line + "\n")
