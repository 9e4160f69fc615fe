"""Decks with their versions and rates, bands, calendar, carriers, number segments and assignments."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Generation',
            fields=[
                ('topic', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('number', models.BigIntegerField(default=1)),
            ],
        ),
        migrations.CreateModel(
            name='CalendarDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country', models.CharField(default='CN', max_length=2, verbose_name='country')),
                ('date', models.DateField(verbose_name='date')),
                ('day_class', models.CharField(choices=[('workday', 'workday'), ('makeup_workday', 'make-up working day'), ('weekend', 'weekend'), ('holiday', 'holiday')], max_length=16, verbose_name='class of day')),
                ('name_zh', models.CharField(blank=True, max_length=40, verbose_name='Chinese name')),
                ('name_en', models.CharField(blank=True, max_length=40, verbose_name='English name')),
                ('source', models.CharField(blank=True, max_length=40, verbose_name='source')),
                ('provisional', models.BooleanField(default=False, verbose_name='provisional')),
            ],
            options={
                'verbose_name': 'calendar day',
                'verbose_name_plural': 'calendar days',
                'ordering': ['country', '-date'],
                'constraints': [models.UniqueConstraint(fields=('country', 'date'), name='calendar_day_once')],
            },
        ),
        migrations.CreateModel(
            name='Carrier',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=20, unique=True, verbose_name='code')),
                ('name_zh', models.CharField(max_length=60, verbose_name='Chinese name')),
                ('name_en', models.CharField(blank=True, max_length=60, verbose_name='English name')),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.carrier', verbose_name='network of')),
            ],
            options={
                'verbose_name': 'carrier',
                'verbose_name_plural': 'carriers',
                'ordering': ['code'],
            },
        ),
        migrations.CreateModel(
            name='Deck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=128, unique=True, verbose_name='code')),
                ('name_zh', models.CharField(blank=True, max_length=100, verbose_name='Chinese name')),
                ('name_en', models.CharField(blank=True, max_length=100, verbose_name='English name')),
                ('purpose', models.CharField(choices=[('sell', 'sell'), ('cost', 'cost')], default='sell', max_length=4, verbose_name='purpose')),
                ('family', models.CharField(blank=True, help_text='decks of one family differ by carrier; empty = the code', max_length=128, verbose_name='family')),
                ('currency', models.CharField(default='CNY', max_length=3, verbose_name='currency')),
                ('zone', models.CharField(default='Asia/Shanghai', max_length=40, verbose_name='time zone')),
                ('numbering', models.CharField(choices=[('e164', 'international, without +'), ('national', 'as dialled in China'), ('raw', 'as given')], default='national', max_length=8, verbose_name='numbering')),
                ('rounding', models.CharField(choices=[('up', 'up'), ('half_up', 'half up'), ('half_even', 'half even'), ('down', 'down')], default='half_up', max_length=9, verbose_name='rounding')),
                ('decimals', models.PositiveSmallIntegerField(default=4, verbose_name='decimals')),
                ('notice_days', models.PositiveSmallIntegerField(default=0, verbose_name='days of notice before a rise')),
                ('carrier', models.ForeignKey(blank=True, help_text='prices only numbers of this carrier', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.carrier', verbose_name='carrier')),
            ],
            options={
                'verbose_name': 'rate deck',
                'verbose_name_plural': 'rate decks',
                'ordering': ['code'],
            },
        ),
        migrations.CreateModel(
            name='DeckVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='version')),
                ('base', models.PositiveIntegerField(default=0, verbose_name='drawn from version')),
                ('state', models.CharField(choices=[('draft', 'draft'), ('published', 'published'), ('withdrawn', 'withdrawn'), ('discarded', 'discarded')], default='draft', max_length=10, verbose_name='state')),
                ('effective_from', models.DateTimeField(blank=True, null=True, verbose_name='effective from')),
                ('published_at', models.DateTimeField(blank=True, null=True, verbose_name='published')),
                ('published_by', models.CharField(blank=True, max_length=80, verbose_name='published by')),
                ('reason', models.CharField(blank=True, max_length=300, verbose_name='reason')),
                ('correction', models.BooleanField(default=False, verbose_name='correction')),
                ('content_hash', models.CharField(blank=True, max_length=64, verbose_name='content')),
                ('row_count', models.PositiveIntegerField(default=0, verbose_name='rows')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created')),
                ('created_by', models.CharField(blank=True, max_length=80, verbose_name='created by')),
                ('deck', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.deck', verbose_name='rate deck')),
            ],
            options={
                'verbose_name': 'deck version',
                'verbose_name_plural': 'deck versions',
            },
        ),
        migrations.CreateModel(
            name='DeckImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_name', models.CharField(max_length=200, verbose_name='file')),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('template', models.CharField(default='native', max_length=40, verbose_name='format')),
                ('mode', models.CharField(choices=[('merge', 'merge: only the listed prefixes change'), ('replace', 'replace: prefixes that are not listed end')], max_length=8, verbose_name='mode')),
                ('counts', models.JSONField(default=dict, verbose_name='counts')),
                ('errors', models.JSONField(default=list, verbose_name='errors')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created')),
                ('created_by', models.CharField(blank=True, max_length=80, verbose_name='created by')),
                ('deck', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.deck', verbose_name='rate deck')),
                ('version', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.deckversion', verbose_name='deck version')),
            ],
            options={
                'verbose_name': 'deck import',
                'verbose_name_plural': 'deck imports',
            },
        ),
        migrations.CreateModel(
            name='NumberSegment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('prefix', models.CharField(max_length=20, verbose_name='prefix (key)')),
                ('kind', models.CharField(default='mobile', max_length=16, verbose_name='kind')),
                ('area', models.CharField(blank=True, max_length=4, verbose_name='area code')),
                ('city_zh', models.CharField(blank=True, max_length=60, verbose_name='Chinese city name')),
                ('city_en', models.CharField(blank=True, max_length=60, verbose_name='English city name')),
                ('source', models.CharField(max_length=40, verbose_name='source')),
                ('confidence', models.CharField(choices=[('high', 'high'), ('low', 'low')], default='high', max_length=4, verbose_name='confidence')),
                ('valid_from', models.DateTimeField(blank=True, null=True, verbose_name='valid from')),
                ('valid_to', models.DateTimeField(blank=True, null=True, verbose_name='valid to')),
                ('carrier', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.carrier', verbose_name='carrier')),
            ],
            options={
                'verbose_name': 'number segment',
                'verbose_name_plural': 'number segments',
            },
        ),
        migrations.CreateModel(
            name='Rate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('valid_from_version', models.PositiveIntegerField(verbose_name='since version')),
                ('valid_to_version', models.PositiveIntegerField(blank=True, null=True, verbose_name='until version')),
                ('prefix', models.CharField(blank=True, max_length=40, verbose_name='prefix')),
                ('key', models.CharField(blank=True, max_length=40, verbose_name='look-up key')),
                ('destination', models.CharField(blank=True, max_length=120, verbose_name='destination')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('carrier', models.CharField(blank=True, max_length=20, verbose_name='carrier')),
                ('reach', models.CharField(blank=True, choices=[('local', 'local'), ('long_distance', 'long distance'), ('hmt', 'Hong Kong, Macao, Taiwan'), ('international', 'international')], max_length=16, verbose_name='reach')),
                ('kind', models.CharField(blank=True, choices=[('voice', 'voice'), ('data', 'data'), ('sms', 'messages'), ('unit', 'units')], max_length=8, verbose_name='kind')),
                ('band', models.CharField(blank=True, max_length=40, verbose_name='time band')),
                ('priority', models.DecimalField(blank=True, decimal_places=4, max_digits=10, null=True, verbose_name='priority')),
                ('rate', models.DecimalField(decimal_places=8, max_digits=18, verbose_name='rate')),
                ('rate_unit', models.DecimalField(decimal_places=3, default=60, max_digits=12, verbose_name='per seconds')),
                ('first_rate', models.DecimalField(blank=True, decimal_places=8, max_digits=18, null=True, verbose_name='rate of the first increment')),
                ('first_increment', models.DecimalField(decimal_places=3, default=60, max_digits=12, verbose_name='first increment, seconds')),
                ('next_increment', models.DecimalField(decimal_places=3, default=60, max_digits=12, verbose_name='next increment, seconds')),
                ('tiers', models.CharField(blank=True, help_text='second:rate[/increment]; …, e.g. 180:0.05;600:0.03/6', max_length=400, verbose_name='tiers')),
                ('connect_fee', models.DecimalField(decimal_places=8, default=0, max_digits=18, verbose_name='connect fee')),
                ('free_kind', models.CharField(blank=True, choices=[('free_first_n', 'the first seconds are free'), ('free_if_shorter_than', 'free if shorter')], max_length=20, verbose_name='free seconds')),
                ('free_seconds', models.DecimalField(decimal_places=3, default=0, max_digits=12, verbose_name='how many seconds')),
                ('min_charge', models.DecimalField(decimal_places=8, default=0, max_digits=18, verbose_name='minimum charge')),
                ('cap', models.DecimalField(blank=True, decimal_places=8, max_digits=18, null=True, verbose_name='cap')),
                ('cap_kind', models.CharField(blank=True, choices=[('free', 'never more than the cap'), ('disconnect', 'the call ends at the cap')], max_length=10, verbose_name='kind of cap')),
                ('rounding', models.CharField(blank=True, choices=[('up', 'up'), ('half_up', 'half up'), ('half_even', 'half even'), ('down', 'down')], max_length=9, verbose_name='rounding')),
                ('decimals', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='decimals')),
                ('blocked', models.BooleanField(default=False, verbose_name='blocked')),
                ('effective_from', models.DateTimeField(blank=True, null=True, verbose_name='effective from')),
                ('effective_to', models.DateTimeField(blank=True, null=True, verbose_name='effective to')),
                ('cost_rate', models.DecimalField(blank=True, decimal_places=8, max_digits=18, null=True, verbose_name="supplier's rate")),
                ('comment', models.CharField(blank=True, max_length=200, verbose_name='comment')),
                ('deck', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.deck', verbose_name='rate deck')),
            ],
            options={
                'verbose_name': 'rate',
                'verbose_name_plural': 'rates',
            },
        ),
        migrations.CreateModel(
            name='RateEnd',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('draft', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='rating.deckversion')),
                ('rate', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.rate')),
            ],
        ),
        migrations.CreateModel(
            name='TariffProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('plan', models.CharField(default='main', max_length=64, verbose_name='tariff plan')),
                ('tenant', models.CharField(max_length=64, verbose_name='organisation')),
                ('category', models.CharField(help_text="the service's label", max_length=64, verbose_name='category')),
                ('subject', models.CharField(default='*any', help_text='account number, or *any', max_length=64, verbose_name='subject')),
                ('active_from', models.DateTimeField(blank=True, null=True, verbose_name='active from')),
                ('family', models.CharField(max_length=128, verbose_name='deck family')),
                ('fallback_subjects', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, size=None, verbose_name='fallback subjects')),
            ],
            options={
                'verbose_name': 'tariff assignment',
                'verbose_name_plural': 'tariff assignments',
                'constraints': [models.UniqueConstraint(fields=('plan', 'tenant', 'category', 'subject', 'active_from'), name='profile_once', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='TimeBand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, verbose_name='name')),
                ('classes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), blank=True, default=list, size=None, verbose_name='classes of days')),
                ('weekdays', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), blank=True, default=list, size=None, verbose_name='weekdays (1-7)')),
                ('years', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), blank=True, default=list, size=None, verbose_name='years')),
                ('months', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), blank=True, default=list, size=None, verbose_name='months')),
                ('month_days', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), blank=True, default=list, size=None, verbose_name='days of the month')),
                ('dates', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=22), blank=True, default=list, help_text='2026-10-01 or 2026-10-01..2026-10-07', size=None, verbose_name='dates')),
                ('start', models.TimeField(blank=True, null=True, verbose_name='from')),
                ('end', models.TimeField(blank=True, help_text='empty = 24:00; not after from = next day', null=True, verbose_name='to')),
                ('priority', models.DecimalField(blank=True, decimal_places=4, max_digits=10, null=True, verbose_name='priority')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='rating.deckversion', verbose_name='deck version')),
            ],
            options={
                'verbose_name': 'time band',
                'verbose_name_plural': 'time bands',
            },
        ),
        migrations.AddConstraint(
            model_name='deck',
            constraint=models.CheckConstraint(condition=models.Q(('decimals__lte', 20)), name='deck_decimals'),
        ),
        migrations.AddConstraint(
            model_name='deck',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='deck_currency'),
        ),
        migrations.AddConstraint(
            model_name='deck',
            constraint=models.UniqueConstraint(fields=('family', 'carrier'), name='deck_family_carrier', nulls_distinct=False),
        ),
        migrations.AddIndex(
            model_name='deckversion',
            index=models.Index(fields=['deck', '-effective_from', '-number'], name='deck_version_in_force'),
        ),
        migrations.AddConstraint(
            model_name='deckversion',
            constraint=models.UniqueConstraint(fields=('deck', 'number'), name='deck_version_once'),
        ),
        migrations.AddConstraint(
            model_name='deckversion',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'discarded']), models.Q(('effective_from__isnull', False), ('published_at__isnull', False)), _connector='OR'), name='deck_version_published_when'),
        ),
        migrations.AddConstraint(
            model_name='deckversion',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', models.F('base'))), name='deck_version_after_base'),
        ),
        migrations.AddIndex(
            model_name='deckimport',
            index=models.Index(fields=['deck', '-created_at'], name='deck_import_latest'),
        ),
        migrations.AddConstraint(
            model_name='numbersegment',
            constraint=models.UniqueConstraint(fields=('prefix', 'source', 'valid_from'), name='segment_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='numbersegment',
            constraint=models.CheckConstraint(condition=models.Q(('prefix__regex', '^[0-9.]{1,20}$')), name='segment_prefix_digits'),
        ),
        migrations.AddConstraint(
            model_name='numbersegment',
            constraint=models.CheckConstraint(condition=models.Q(('valid_to__isnull', True), ('valid_from__isnull', True), ('valid_to__gt', models.F('valid_from')), _connector='OR'), name='segment_period'),
        ),
        migrations.AddIndex(
            model_name='rate',
            index=models.Index(fields=['deck', 'key', 'id'], name='rate_by_key'),
        ),
        migrations.AddIndex(
            model_name='rate',
            index=models.Index(fields=['deck', 'valid_from_version'], name='rate_by_version'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('rate__gte', 0), ('rate__lt', 1000000000)), name='rate_price'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('first_rate__isnull', True), models.Q(('first_rate__gte', 0), ('first_rate__lt', 1000000000)), _connector='OR'), name='rate_first'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('connect_fee__gte', 0), ('connect_fee__lt', 1000000000)), name='rate_connect_fee'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('min_charge__gte', 0), ('min_charge__lt', 1000000000)), name='rate_min_charge'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('cap__isnull', True), models.Q(('cap__gte', 0), ('cap__lt', 1000000000)), _connector='OR'), name='rate_cap'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('cost_rate__isnull', True), models.Q(('cost_rate__gte', 0), ('cost_rate__lt', 1000000000)), _connector='OR'), name='rate_cost'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('first_increment__gt', 0), ('next_increment__gt', 0), ('rate_unit__gt', 0), ('rate_unit__gte', 0), ('rate_unit__lt', 2678400), ('first_increment__gte', 0), ('first_increment__lt', 2678400), ('next_increment__gte', 0), ('next_increment__lt', 2678400), ('free_seconds__gte', 0), ('free_seconds__lt', 2678400)), name='rate_seconds'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('decimals__isnull', True), models.Q(('decimals__gte', 0), ('decimals__lt', 21)), _connector='OR'), name='rate_decimals'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cap__isnull', True), ('cap_kind', '')), models.Q(('cap__isnull', False), models.Q(('cap_kind', ''), _negated=True)), _connector='OR'), name='rate_cap_has_kind'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('free_kind', ''), ('free_seconds', 0)), models.Q(('free_seconds__gt', 0), models.Q(('free_kind', ''), _negated=True)), _connector='OR'), name='rate_free_has_kind'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('effective_from__isnull', True), ('effective_to__isnull', True), ('effective_to__gt', models.F('effective_from')), _connector='OR'), name='rate_period'),
        ),
        migrations.AddConstraint(
            model_name='rate',
            constraint=models.CheckConstraint(condition=models.Q(('valid_to_version__isnull', True), ('valid_to_version__gt', models.F('valid_from_version')), _connector='OR'), name='rate_version_range'),
        ),
        migrations.AddConstraint(
            model_name='rateend',
            constraint=models.UniqueConstraint(fields=('draft', 'rate'), name='rate_end_once'),
        ),
        migrations.AddConstraint(
            model_name='timeband',
            constraint=models.UniqueConstraint(fields=('version', 'name'), name='time_band_once'),
        ),
    ]
