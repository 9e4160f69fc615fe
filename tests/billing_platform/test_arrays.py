"""Array literals: whatever a text holds arrives as it was given."""

from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from billing_platform.arrays import numbers_array, texts_array

TEXTS = st.lists(st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), max_size=8))


def read_back(literal: str, kind: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [literal])
        return list(cursor.fetchone()[0])


@pytest.mark.django_db
@given(TEXTS)
def test_texts_arrive_as_they_were_given(values):
    assert read_back(texts_array(values), "text") == values


@pytest.mark.django_db
@pytest.mark.parametrize("values", [[], ['"', "\\", "{,}", "NULL", "", " a "], ["电话", "a'b"]])
def test_no_text_is_a_mark_of_the_literal(values):
    assert read_back(texts_array(values), "text") == values


@pytest.mark.django_db
def test_numbers_arrive_exactly():
    assert read_back(numbers_array([1, -2]), "bigint") == [1, -2]
    amounts = [Decimal("0.000001"), Decimal("-999999999999.999999"), Decimal("1E+3")]
    assert read_back(numbers_array(amounts), "numeric") == amounts
