"""A file's whole story, proposals that wait for a second person, and how a supplier's files are read.

A proposal is as immutable as what is published: it is approved as it stands or goes back to its draft.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
CREATE OR REPLACE FUNCTION rating_deckversion_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    settled text[] := ARRAY['state'];
BEGIN
    IF TG_OP = 'DELETE' THEN PERFORM rating_refuse('the head'); END IF;
    IF (NEW.deck_id, NEW.number) IS DISTINCT FROM (OLD.deck_id, OLD.number) THEN
        PERFORM rating_refuse('the head');
    END IF;
    IF OLD.state = 'draft' THEN RETURN NEW; END IF;
    IF OLD.state = 'proposed' AND NEW.state = 'published'
       AND (OLD.effective_from IS NULL OR NEW.effective_from = OLD.effective_from) THEN
        settled := ARRAY['state', 'effective_from', 'published_at', 'published_by', 'content_hash', 'row_count'];
    ELSIF OLD.state = 'proposed' AND NEW.state = 'draft' THEN
        settled := ARRAY['state', 'effective_from', 'correction', 'proposed_at', 'proposed_by'];
    ELSIF OLD.state = 'proposed' OR (NEW.state <> OLD.state
                                     AND NOT (OLD.state = 'published' AND NEW.state = 'withdrawn')) THEN
        PERFORM rating_refuse('the head');
    END IF;
    IF to_jsonb(NEW) - settled IS DISTINCT FROM to_jsonb(OLD) - settled THEN
        PERFORM rating_refuse('the head');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION rating_rateend_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT draft_id FROM moved) m
          JOIN rating_deckversion v ON v.id = m.draft_id WHERE v.state = 'proposed'
    ) THEN PERFORM rating_refuse('the rates'); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rating_rateend_added AFTER INSERT ON rating_rateend
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_rateend_guard();
CREATE TRIGGER rating_rateend_removed AFTER DELETE ON rating_rateend
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_rateend_guard();
CREATE TRIGGER rating_rateend_edited AFTER UPDATE ON rating_rateend
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION rating_rateend_guard();
"""

BACKWARD = """
DROP TRIGGER rating_rateend_edited ON rating_rateend;
DROP TRIGGER rating_rateend_removed ON rating_rateend;
DROP TRIGGER rating_rateend_added ON rating_rateend;
DROP FUNCTION rating_rateend_guard();
CREATE OR REPLACE FUNCTION rating_deckversion_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN PERFORM rating_refuse('the head'); END IF;
    IF (NEW.deck_id, NEW.number) IS DISTINCT FROM (OLD.deck_id, OLD.number)
       OR (OLD.state <> 'draft' AND (
               to_jsonb(NEW) - 'state' IS DISTINCT FROM to_jsonb(OLD) - 'state'
               OR (NEW.state <> OLD.state AND NOT (OLD.state = 'published' AND NEW.state = 'withdrawn'))))
    THEN PERFORM rating_refuse('the head'); END IF;
    RETURN NEW;
END $$;
"""

# Until now a row was the receipt of a file that had been applied; a proposal of before becomes a draft again.
APPLIED = "UPDATE rating_deckimport SET state = 'applied', finished_at = created_at"
DRAFTS = "UPDATE rating_deckversion SET state = 'draft', effective_from = NULL WHERE state = 'proposed'"


class Migration(migrations.Migration):
    dependencies = [("rating", "0004_carriers")]

    operations = [
        migrations.CreateModel(
            name='DeckImportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name='ImportTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=40, unique=True, verbose_name='code')),
                ('name', models.CharField(blank=True, max_length=100, verbose_name='name')),
                ('format', models.CharField(blank=True, max_length=20, verbose_name='format')),
                ('options', models.JSONField(blank=True, default=dict, verbose_name='options')),
                ('created_by', models.CharField(blank=True, max_length=80, verbose_name='created by')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created')),
            ],
            options={
                'verbose_name': 'import template',
                'verbose_name_plural': 'import templates',
                'ordering': ['code'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='deckversion',
            name='deck_version_published_when',
        ),
        migrations.AddField(
            model_name='deckimport',
            name='attempts',
            field=models.PositiveSmallIntegerField(default=0, verbose_name='attempts'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='correction',
            field=models.BooleanField(default=False, verbose_name='correction'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='effective_from',
            field=models.DateTimeField(blank=True, null=True, verbose_name='effective from'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='finished_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='finished'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='job_id',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='run'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='options',
            field=models.JSONField(default=dict, verbose_name='options'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='rails',
            field=models.JSONField(default=list, verbose_name='guard rails'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='reason',
            field=models.CharField(blank=True, max_length=300, verbose_name='reason'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='reference',
            field=models.CharField(blank=True, max_length=255, verbose_name="sender's key"),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='size',
            field=models.PositiveIntegerField(default=0, verbose_name='bytes'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='skip_errors',
            field=models.BooleanField(default=False, verbose_name='leave out rows with errors'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='state',
            field=models.CharField(choices=[('received', 'received'), ('checking', 'being checked'), ('ready', 'ready'), ('refused', 'cannot be read'), ('applied', 'applied'), ('discarded', 'discarded'), ('expired', 'expired')], default='received', max_length=10, verbose_name='state'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='token',
            field=models.CharField(blank=True, max_length=12, verbose_name='token'),
        ),
        migrations.AddField(
            model_name='deckimport',
            name='warnings',
            field=models.JSONField(default=list, verbose_name='warnings'),
        ),
        migrations.AddField(
            model_name='deckversion',
            name='proposed_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='proposed'),
        ),
        migrations.AddField(
            model_name='deckversion',
            name='proposed_by',
            field=models.CharField(blank=True, max_length=80, verbose_name='proposed by'),
        ),
        migrations.AlterField(
            model_name='deckimport',
            name='mode',
            field=models.CharField(choices=[('merge', 'merge: only the listed prefixes change'), ('replace', 'replace: prefixes that are not listed end'), ('country', 'country: as replace, for the countries that occur in the file')], max_length=8, verbose_name='mode'),
        ),
        migrations.AlterField(
            model_name='deckimport',
            name='template',
            field=models.CharField(blank=True, max_length=40, verbose_name='template'),
        ),
        migrations.AlterField(
            model_name='deckversion',
            name='state',
            field=models.CharField(choices=[('draft', 'draft'), ('proposed', 'waits for a second person'), ('published', 'published'), ('withdrawn', 'withdrawn'), ('discarded', 'discarded')], default='draft', max_length=10, verbose_name='state'),
        ),
        migrations.AddIndex(
            model_name='deckimport',
            index=models.Index(condition=models.Q(('state__in', ['received', 'checking', 'ready', 'refused'])), fields=['state', 'created_at'], name='deck_import_open'),
        ),
        migrations.AddConstraint(
            model_name='deckimport',
            constraint=models.UniqueConstraint(condition=models.Q(('reference', ''), _negated=True), fields=('deck', 'created_by', 'reference'), name='deck_import_once'),
        ),
        migrations.AddConstraint(
            model_name='deckversion',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'proposed', 'discarded']), models.Q(('effective_from__isnull', False), ('published_at__isnull', False)), _connector='OR'), name='deck_version_published_when'),
        ),
        migrations.AddField(
            model_name='deckimportpart',
            name='deck_import',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='rating.deckimport'),
        ),
        migrations.AddField(
            model_name='importtemplate',
            name='deck',
            field=models.ForeignKey(blank=True, help_text='empty = any rate deck', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.deck', verbose_name='rate deck'),
        ),
        migrations.AddConstraint(
            model_name='deckimportpart',
            constraint=models.UniqueConstraint(fields=('deck_import', 'number'), name='deck_import_part_once'),
        ),
        migrations.AddConstraint(
            model_name='importtemplate',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[A-Za-z0-9_.-]{1,40}$')), name='import_template_code'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunSQL(APPLIED, DRAFTS),
    ]
