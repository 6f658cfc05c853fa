"""Valid numbers, their keyed hashes, and messages that never repeat a number. Nothing imports Feast."""

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from errors import BadLicence, BadSsn, RiskError
from features.identifiers import keyed_hash, normal_licence, normal_ssn

KEY = b"a key for tests"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("123-45-6789", "123456789"), ("123456789", "123456789"), (" 123-45-6789 ", "123456789"),
     ("001-01-0001", "001010001"), ("665-99-9999", "665999999"), ("667-01-0001", "667010001"),
     ("899-01-0001", "899010001")],
)  # fmt: skip
def test_a_social_security_number_is_nine_digits_with_or_without_dashes(text, meant):
    assert normal_ssn(text) == meant


@pytest.mark.parametrize(
    "text",
    ["000-12-3456", "666-12-3456", "900-12-3456", "950-12-3456", "999-12-3456", "123-00-4567", "123-45-0000",
     "000000000", "12345678", "1234567890", "123-45-678", "123 45 6789", "12-345-6789", "123--45-6789",
     "123-45-6789-", "a123456789", "１２３-45-6789", "", "1" * 200],
)  # fmt: skip
def test_a_number_that_is_never_issued_is_refused(text):
    with pytest.raises(BadSsn) as refused:
        normal_ssn(text)
    assert refused.value.field == "ssn"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("D1234567", "D1234567"), ("d123-4567", "D1234567"), (" d 123 4567\t", "D1234567"), ("1234", "1234"),
     ("A" * 19 + "1", "A" * 19 + "1")],
)  # fmt: skip
def test_a_licence_is_the_same_however_it_is_spaced(text, meant):
    assert normal_licence(text) == meant


@pytest.mark.parametrize(
    "text",
    ["", "123", "ABCDEFG", "A" * 20 + "1", "D123_4567", "D123/4567", "Ж1234567", "١٢٣٤٥", "D1234567;--",
     "ß1234", "ı1234"],
)  # fmt: skip
def test_an_invalid_licence_number_is_refused(text):
    with pytest.raises(BadLicence) as refused:
        normal_licence(text)
    assert refused.value.field == "dl"


shapes = [r"[0-9-]{4,30}", r"(000|666|9[0-9]{2}|[0-9]{3})-?(00|[0-9]{2})-?(0000|[0-9]{4})", r"[A-Z]?[0-9]{4,22}[!_]?"]
numbers = st.one_of([st.from_regex(shape, fullmatch=True) for shape in shapes])


@given(numbers)
def test_no_message_repeats_a_number(text):
    messages = []
    for check in (normal_ssn, normal_licence):
        try:
            check(text)
        except RiskError as refused:
            messages.append(str(refused).replace("123-45-6789 or 123456789", ""))  # the example in a message
    digits = re.sub(r"\D", "", text)
    assert not [message for message in messages if text in message or (len(digits) > 3 and digits in message)]


def test_a_keyed_hash_depends_on_kind_number_and_key():
    arguments = [("ssn", "1", b"a"), ("dl", "1", b"a"), ("ssn", "2", b"a"), ("ssn", "1", b"b")]
    hashes = {keyed_hash(kind, number, key) for kind, number, key in arguments}
    assert len(hashes) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", h) for h in hashes)
    assert keyed_hash("ssn", "1", b"a") == keyed_hash("ssn", "1", b"a")
