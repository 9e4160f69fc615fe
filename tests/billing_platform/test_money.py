"""The only rounding of the house."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_platform.money import (
    ROUNDINGS,
    AmountUnreadable,
    add_amounts,
    amount_text,
    parse_amount,
    ratio_text,
    round_amount,
)

NAMES = {"up": ROUND_UP, "half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}


@pytest.mark.parametrize(
    ("value", "up", "half_up", "half_even", "down"),
    [
        ("0.00125", "0.0013", "0.0013", "0.0012", "0.0012"),
        ("0.00135", "0.0014", "0.0014", "0.0014", "0.0013"),
        ("0.00121", "0.0013", "0.0012", "0.0012", "0.0012"),
        ("0.00129", "0.0013", "0.0013", "0.0013", "0.0012"),
        ("-0.00125", "-0.0013", "-0.0013", "-0.0012", "-0.0012"),
        ("-0.00001", "-0.0001", "0.0000", "0.0000", "0.0000"),
        ("12", "12.0000", "12.0000", "12.0000", "12.0000"),
        ("0", "0.0000", "0.0000", "0.0000", "0.0000"),
    ],
)
def test_rounding_by_each_method(value, up, half_up, half_even, down):
    rounded = [str(round_amount(Decimal(value), method=method, decimals=4)) for method in ROUNDINGS]

    assert rounded == [up, half_up, half_even, down]


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=9),
    st.sampled_from(ROUNDINGS),
    st.integers(0, 20),
)
def test_decimals_round_as_the_standard_library_does(value, method, decimals):
    standard = value.quantize(Decimal(1).scaleb(-decimals), rounding=NAMES[method], context=Context(prec=60))

    rounded = round_amount(value, method=method, decimals=decimals)

    assert rounded == standard
    assert amount_text(rounded) == format(abs(standard) if standard == 0 else standard, "f")


@given(st.fractions(), st.sampled_from(ROUNDINGS), st.integers(0, 20))
def test_a_fraction_moves_less_than_one_unit_and_in_the_right_direction(value, method, decimals):
    rounded = Fraction(round_amount(value, method=method, decimals=decimals))

    unit = Fraction(1, 10**decimals)
    assert abs(rounded - value) < unit
    if method == "up":
        assert abs(rounded) >= abs(value)
    elif method == "down":
        assert abs(rounded) <= abs(value)
    else:
        assert abs(rounded - value) <= unit / 2


def test_a_third_rounds_once():
    assert str(round_amount(Fraction(2, 3), method="half_up", decimals=20)) == "0.66666666666666666667"


def test_the_context_of_the_thread_changes_nothing():
    with localcontext(prec=3, rounding=ROUND_DOWN):
        assert str(round_amount(Decimal("123456.78915"), method="half_up", decimals=4)) == "123456.7892"
        assert str(add_amounts(Decimal("123456.789"), Decimal("0.0001"))) == "123456.7891"


@pytest.mark.parametrize("value", [0.1, True, "0.1", None])
def test_only_exact_numbers_are_money(value):
    with pytest.raises(TypeError):
        round_amount(value, method="half_up", decimals=2)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_amount(value):
    with pytest.raises(ValueError, match="no amount"):
        round_amount(Decimal(value), method="half_up", decimals=2)
    with pytest.raises(ValueError, match="no amount"):
        amount_text(Decimal(value))


@pytest.mark.parametrize(("method", "decimals"), [("ceil", 2), ("", 2), ("up", -1), ("up", 21)])
def test_an_unknown_rounding_is_refused(method, decimals):
    with pytest.raises(ValueError, match="no rounding"):
        round_amount(Decimal(1), method=method, decimals=decimals)


@pytest.mark.parametrize(
    ("amount", "text"), [("1E+2", "100"), ("0E-7", "0.0000000"), ("0.10", "0.10"), ("-5E-7", "-0.0000005")]
)
def test_amounts_are_plain_digits(amount, text):
    assert amount_text(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [(3, 25, "0.12"), (6, 2, "3"), (0, 7, "0"), (1, 3, "0.333333333333"), (-2, 3, "-0.666666666667"),
     (1, 10**20, "0.00000000000000000001"), (120, 1, "120"), (-1, 3 * 10**13, "0")],
)  # fmt: skip
def test_ratios_are_shown_without_needless_digits(numerator, denominator, text):
    assert ratio_text(numerator, denominator) == text


@pytest.mark.parametrize("text", ["0", "12.50", "-3", "0.00000000000000000001", "999999999999.999999"])
def test_plain_decimals_are_read_as_they_stand(text):
    assert str(parse_amount(text)) == str(Decimal(text))
    assert amount_text(parse_amount(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1e3", "1_000", " 5", "5\n", "+1", ".5", "5.", "NaN", "inf", "١٢", "1,000", "--1", "9" * 31, "0x1"]
)
def test_anything_else_is_not_an_amount(text):
    with pytest.raises(AmountUnreadable):
        parse_amount(text)


@pytest.mark.parametrize("value", [0.1, 5, None])
def test_only_text_is_parsed(value):
    with pytest.raises(TypeError):
        parse_amount(value)
