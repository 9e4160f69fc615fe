"""The four mainland carriers and the blocks of mobile numbers they were given."""

from django.db import migrations

from rating.number_tables import CARRIERS, MOBILE_SEGMENTS, SERVICE_NUMBERS, UNCONFIRMED_SEGMENTS

SOURCE = "allocation"


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
