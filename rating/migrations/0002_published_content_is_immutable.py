"""What was published is never edited: rates may only have their range closed, once; bands and heads stay as they are.

Set-based triggers (transition tables), so that a deck of 170,000 rows does not pay for 170,000 look-ups.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION rating_refuse(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of a published deck version cannot be changed', what USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION rating_rate_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT deck_id, valid_from_version FROM added) a
          LEFT JOIN rating_deckversion v ON v.deck_id = a.deck_id AND v.number = a.valid_from_version
         WHERE v.state IS DISTINCT FROM 'draft'
    ) THEN PERFORM rating_refuse('the rates'); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rating_rate_added AFTER INSERT ON rating_rate
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rating_rate_added();

CREATE FUNCTION rating_rate_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT deck_id, valid_from_version FROM removed) r
          JOIN rating_deckversion v ON v.deck_id = r.deck_id AND v.number = r.valid_from_version
         WHERE v.state <> 'draft'
    ) THEN PERFORM rating_refuse('the rates'); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rating_rate_removed AFTER DELETE ON rating_rate
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rating_rate_removed();

-- The plan of the first, small statement is kept for the session: it must not be a loop within a loop.
CREATE FUNCTION rating_rate_edited() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM before b
          JOIN rating_deckversion v ON v.deck_id = b.deck_id AND v.number = b.valid_from_version
          LEFT JOIN after a ON a.id = b.id
         WHERE (v.state <> 'draft'
                AND (b.valid_to_version IS NOT NULL OR a.valid_to_version IS NULL
                     OR to_jsonb(a) - 'valid_to_version' IS DISTINCT FROM to_jsonb(b) - 'valid_to_version'))
            OR (v.state = 'draft'
                AND (a.id, a.deck_id, a.valid_from_version)
                    IS DISTINCT FROM (b.id, b.deck_id, b.valid_from_version))
    ) THEN PERFORM rating_refuse('the rates'); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rating_rate_edited AFTER UPDATE ON rating_rate
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION rating_rate_edited();

CREATE FUNCTION rating_timeband_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM rating_deckversion v
         WHERE v.state <> 'draft'
           AND v.id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END,
                        CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END)
    ) THEN PERFORM rating_refuse('the time bands'); END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER rating_timeband_guard BEFORE INSERT OR UPDATE OR DELETE ON rating_timeband
    FOR EACH ROW EXECUTE FUNCTION rating_timeband_guard();

CREATE FUNCTION rating_deckversion_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN PERFORM rating_refuse('the head'); END IF;
    IF (NEW.deck_id, NEW.number) IS DISTINCT FROM (OLD.deck_id, OLD.number)
       OR (OLD.state <> 'draft' AND (
               to_jsonb(NEW) - 'state' IS DISTINCT FROM to_jsonb(OLD) - 'state'
               OR (NEW.state <> OLD.state AND NOT (OLD.state = 'published' AND NEW.state = 'withdrawn'))))
    THEN PERFORM rating_refuse('the head'); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rating_deckversion_guard BEFORE UPDATE OR DELETE ON rating_deckversion
    FOR EACH ROW EXECUTE FUNCTION rating_deckversion_guard();

CREATE FUNCTION rating_deck_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.currency, NEW.zone, NEW.numbering, NEW.rounding, NEW.decimals)
       IS DISTINCT FROM (OLD.currency, OLD.zone, OLD.numbering, OLD.rounding, OLD.decimals)
       AND EXISTS (SELECT FROM rating_deckversion v WHERE v.deck_id = OLD.id AND v.state IN ('published', 'withdrawn'))
    THEN PERFORM rating_refuse('the head'); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rating_deck_guard BEFORE UPDATE ON rating_deck FOR EACH ROW EXECUTE FUNCTION rating_deck_guard();

CREATE FUNCTION rating_truncate_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM rating_refuse('the content'); RETURN NULL; END $$;
CREATE TRIGGER rating_rate_truncate BEFORE TRUNCATE ON rating_rate EXECUTE FUNCTION rating_truncate_guard();
CREATE TRIGGER rating_deckversion_truncate BEFORE TRUNCATE ON rating_deckversion
    EXECUTE FUNCTION rating_truncate_guard();
"""

BACKWARD = """
DROP TRIGGER rating_deckversion_truncate ON rating_deckversion;
DROP TRIGGER rating_rate_truncate ON rating_rate;
DROP TRIGGER rating_deck_guard ON rating_deck;
DROP TRIGGER rating_deckversion_guard ON rating_deckversion;
DROP TRIGGER rating_timeband_guard ON rating_timeband;
DROP TRIGGER rating_rate_edited ON rating_rate;
DROP TRIGGER rating_rate_removed ON rating_rate;
DROP TRIGGER rating_rate_added ON rating_rate;
DROP FUNCTION rating_truncate_guard(), rating_deck_guard(), rating_deckversion_guard(), rating_timeband_guard(),
    rating_rate_edited(), rating_rate_removed(), rating_rate_added(), rating_refuse(text);
"""


class Migration(migrations.Migration):
    dependencies = [("rating", "0001_decks_and_rates")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
