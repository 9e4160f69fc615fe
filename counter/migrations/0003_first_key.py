"""The providerno that a use was started under, kept where its end named another one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("counter", "0002_facts")]

    operations = [
        migrations.AddField(
            model_name="servicerecord", name="started_as", field=models.CharField(db_default="", max_length=128)
        ),
        migrations.AddIndex(
            model_name="servicerecord",
            index=models.Index(
                condition=models.Q(("started_as", ""), _negated=True), fields=["item", "started_as"],
                name="use_by_first_key",
            ),
        ),
    ]
