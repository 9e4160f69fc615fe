"""The chain that every installation starts with; `too_short` takes CDR_MIN_SECONDS unless its row names seconds."""

from django.db import migrations

CHAIN = (("unanswered", 10, {}), ("too_short", 20, {}), ("test_number", 30, {"numbers": []}))


def add_rules(apps, schema_editor):
    rules = apps.get_model("cdr", "FilterRule").objects
    for code, position, parameters in CHAIN:
        rules.create(code=code, position=position, parameters=parameters)


def remove_rules(apps, schema_editor):
    apps.get_model("cdr", "FilterRule").objects.filter(code__in=[code for code, _position, _parameters in CHAIN]).delete()


class Migration(migrations.Migration):
    dependencies = [("cdr", "0002_partitions")]
    operations = [migrations.RunPython(add_rules, remove_rules)]
