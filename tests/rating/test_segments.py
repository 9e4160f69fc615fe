import pytest

from rating.segments import Kind, NumberContext, reach_of, read_number

SHANGHAI = NumberContext("21")


@pytest.mark.parametrize(
    "given",
    [
        "138 0013 8000", "+86-138-0013-8000", "0086 13800138000", "8613800138000", "013800138000",
        "１３８００１３８０００",
        "17951 13800138000", "tel:+8613800138000", "sip:13800138000@pbx.example;user=phone",
    ],
)  # fmt: skip
def test_every_way_of_writing_a_mobile_gives_one_key(given):
    number = read_number(given, SHANGHAI)

    assert (number.key, number.kind, number.raw) == ("8613800138000", "mobile", given)


@pytest.mark.parametrize(
    ("given", "key", "kind", "area", "extension"),
    [
        ("010-6000 1234", "861060001234", "fixed", "10", ""),
        ("+86 10 60001234", "861060001234", "fixed", "10", ""),
        ("+86 (010) 60001234", "861060001234", "fixed", "10", ""),
        ("861060001234", "861060001234", "fixed", "10", ""),
        ("+861060001234", "861060001234", "fixed", "10", ""),
        ("60001234", "862160001234", "fixed", "21", ""),
        ("021-60001234转801", "862160001234", "fixed", "21", "801"),
        ("02160001234,801", "862160001234", "fixed", "21", "801"),
        ("021-60001234 ext. 801", "862160001234", "fixed", "21", "801"),
        ("tel:+862160001234;ext=801", "862160001234", "fixed", "21", "801"),
        ("86123456", "862186123456", "fixed", "21", ""),
        ("0571-8888 1234", "8657188881234", "fixed", "571", ""),
        ("400-820-1234", "864008201234", "shared_cost", "", ""),
        ("800 820 1234", "868008201234", "toll_free", "", ""),
        ("10086", "86.10086", "short", "", ""),
        ("021-10086", "86.10086", "short", "21", ""),
        ("0571 96123", "86.96123", "short", "571", ""),
        ("95588", "86.95588", "short", "", ""),
        ("12306", "86.12306", "short", "", ""),
        ("1060001234", "86.1060001234", "short", "", ""),
        ("110", "86.110", "emergency", "", ""),
        ("0085221234567", "85221234567", "international", "", ""),
        ("+852 2123 4567", "85221234567", "international", "", ""),
        ("0044 20 7946 0123", "442079460123", "international", "", ""),
        ("+86 1060001234", "861060001234", "fixed", "10", ""),
        ("+86 010 110", "86.110", "emergency", "10", ""),
        ("+86 10086", "86.10086", "short", "", ""),
        ("+8610110", "86.10110", "short", "", ""),
        ("+86 21 10086", "86.10086", "short", "21", ""),
        ("+86 057196123", "86.96123", "short", "571", ""),
        ("86-021-60001234", "862160001234", "fixed", "21", ""),
        ("864008201234", "864008201234", "shared_cost", "", ""),
        ("17951 010 6000 1234", "861060001234", "fixed", "10", ""),
        ("17911 0085221234567", "85221234567", "international", "", ""),
        ("12593 8613800138000", "8613800138000", "mobile", "", ""),
        ("17909 400 820 1234", "864008201234", "shared_cost", "", ""),
        ("119", "86.119", "emergency", "", ""),
        ("12110", "86.12110", "short", "", ""),
        ("11185", "invalid", "invalid", "", ""),
        ("11611", "86.11611", "short", "", ""),
        ("961234567890", "86.961234567890", "short", "", ""),
        ("9512", "invalid", "invalid", "", ""),
        ("021-60001234#801#", "862160001234", "fixed", "21", "801"),
        ("６０００１２３４；８０１", "862160001234", "fixed", "21", "801"),
        ("021 60001234 x 801", "862160001234", "fixed", "21", "801"),
    ],
)
def test_numbers_are_read_as_dialled_in_shanghai(given, key, kind, area, extension):
    number = read_number(given, SHANGHAI)

    expected = ("" if kind == Kind.INVALID else key, kind, area, extension)
    assert (number.key, number.kind, number.area, number.extension) == expected


@pytest.mark.parametrize(
    "given", ["anonymous", "", "0000000", "Unknown", "隐藏", "sip:anonymous@anonymous.invalid", "  "]
)
def test_hidden_numbers_have_no_key(given):
    number = read_number(given, SHANGHAI)

    assert (number.key, number.kind, number.reason) == ("", Kind.HIDDEN, "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("01013800138000", "unknown_form"),
        ("14", "unknown_form"),
        ("1380013800", "unknown_form"),
        ("abc", "unknown_form"),
        ("*06#", "unknown_form"),
        ("+", "unknown_form"),
        ("+99912345678", "unknown_country"),
        ("+1234", "length"),
    ],
)
def test_unreadable_numbers_say_why(given, reason):
    number = read_number(given, SHANGHAI)

    assert (number.key, number.kind, number.reason) == ("", Kind.INVALID, reason)


def test_a_local_number_needs_a_home_area():
    assert read_number("60001234").reason == "area_missing"


def test_an_access_code_is_cut_only_before_a_complete_number():
    assert read_number("1790913800138000").key == "8613800138000"
    assert read_number("17909123456").key == "8617909123456"  # eleven digits: a mobile that begins so
    assert read_number("17909010110").key == "8617909010110"  # and not the police in Beijing
    assert read_number("17909001234").key == "8617909001234"
    assert read_number("1795100123").reason == "unknown_form"


def test_the_longest_access_code_is_cut():
    context = NumberContext(selection_prefixes=("179510", "17951"))

    assert read_number("179510 13800138000", context).key == "8613800138000"
    assert read_number("17951 13800138000", context).key == "8613800138000"
    assert read_number("17909 13800138000", context).kind == Kind.INVALID


def test_internal_numbers_are_known_by_their_length():
    context = NumberContext("21", frozenset({4}))

    assert read_number("8011", context)[1:3] == (".8011", "internal")
    assert read_number("8011", SHANGHAI).kind == "invalid"


@pytest.mark.parametrize(
    ("called", "caller", "reach"),
    [
        ("02160001234", "02150001234", "local"),
        ("01060001234", "02150001234", "long_distance"),
        ("13800138000", "02150001234", ""),
        ("+85221234567", "02150001234", "hmt"),
        ("+442079460123", "", "international"),
    ],
)
def test_reach_goes_by_both_areas(called, caller, reach):
    number = read_number(called)

    assert reach_of(number.country, area=number.area, caller_area=read_number(caller).area) == reach


@pytest.mark.parametrize("given", ["\x00", "+" * 50, "9" * 500, "转801", "²³4", "\ud800"])
def test_nothing_raises(given):
    assert read_number(given, SHANGHAI)._replace(reason="") == (given, "", Kind.INVALID, "", "", "", "")
