"""The four mainland carriers and the blocks of mobile numbers they were given."""

from django.db import migrations

SOURCE = "allocation"
CARRIERS = (
    ("CMCC", "中国移动", "China Mobile"),
    ("CUCC", "中国联通", "China Unicom"),
    ("CTCC", "中国电信", "China Telecom"),
    ("CBN", "中国广电", "China Broadnet"),
)
MOBILE_SEGMENTS = {
    "CMCC": """134 135 136 137 138 139 144 147 148 150 151 152 157 158 159 165 172 178 182 183 184 187 188 195 197 198
        1703 1705 1706""",
    "CUCC": "130 131 132 140 145 146 155 156 166 167 171 175 176 185 186 196 1704 1707 1708 1709",
    "CTCC": "133 141 149 153 162 173 174 177 180 181 189 190 191 193 199 1349 1700 1701 1702",
    "CBN": "192",
}
UNCONFIRMED_SEGMENTS = frozenset({"140", "141", "144", "146", "148", "149", "162", "165", "174", "1349"})
SERVICE_NUMBERS = {"CMCC": "10086 10085 12580", "CUCC": "10010 10016 10018", "CTCC": "10000 10001", "CBN": "10099"}


def seed(apps, schema_editor):
    Carrier, NumberSegment = apps.get_model("rating", "Carrier"), apps.get_model("rating", "NumberSegment")
    for code, name_zh, name_en in CARRIERS:
        Carrier.objects.get_or_create(code=code, defaults={"name_zh": name_zh, "name_en": name_en})
    carriers = {carrier.code: carrier for carrier in Carrier.objects.all()}
    mobile = [
        NumberSegment(
            prefix=f"86{head}", carrier=carriers[code], kind="mobile", source=SOURCE,
            confidence="low" if head in UNCONFIRMED_SEGMENTS else "high",
        )
        for code, heads in MOBILE_SEGMENTS.items() for head in heads.split()
    ]  # fmt: skip
    service = [
        NumberSegment(prefix=f"86.{number}", carrier=carriers[code], kind="short", source=SOURCE, confidence="high")
        for code, numbers in SERVICE_NUMBERS.items() for number in numbers.split()
    ]  # fmt: skip
    NumberSegment.objects.bulk_create(mobile + service)


def unseed(apps, schema_editor):
    """Carriers that a deck or a segment of somebody else's still names stay."""
    schema_editor.execute("DELETE FROM rating_numbersegment WHERE source = %s", [SOURCE])
    schema_editor.execute(
        "DELETE FROM rating_carrier c WHERE code = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM rating_deck d WHERE d.carrier_id = c.id)"
        " AND NOT EXISTS (SELECT FROM rating_numbersegment s WHERE s.carrier_id = c.id)"
        " AND NOT EXISTS (SELECT FROM rating_carrier v WHERE v.parent_id = c.id)",
        [[code for code, *_ in CARRIERS]],
    )


class Migration(migrations.Migration):
    dependencies = [("rating", "0003_generations")]
    operations = [migrations.RunPython(seed, unseed)]
