"""The language of rules: what each operator means, also for values that are missing, and what is refused."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.rules import Names, RuleFault, compiled, lists_in, names_in, parsed

FEATURES = {"amount": "number", "count": "number", "state": "text", "is_open": "flag", "born": "time", "raw": "other"}
REQUEST = {"user": "text", "count": "number"}
NAMES = Names(FEATURES, REQUEST)
LISTS = {"blocked": frozenset({"u1", "u2"}), "numbers": frozenset({7, 8.5})}
MISSING = [None, math.nan, ""]


def holds(text, features=None, **request):
    return compiled(parsed(text), NAMES, LISTS)(features or {}, request)


@pytest.mark.parametrize(
    ("text", "below", "equal", "above"),
    [("amount == 5", False, True, False), ("amount != 5", True, False, True), ("amount < 5", True, False, False),
     ("amount <= 5", True, True, False), ("amount > 5", False, False, True), ("amount >= 5", False, True, True),
     ("amount between 5 and 5.0", False, True, False), ("amount in [5, 7]", False, True, False),
     ("amount not in [5, 7]", True, False, True), ("amount is missing", False, False, False),
     ("amount is not missing", True, True, True), ("not amount < 5", False, True, True)],
)  # fmt: skip
def test_an_operator_compares_as_it_says(text, below, equal, above):
    assert [holds(text, {"amount": value}) for value in (4.5, 5, 5.5)] == [below, equal, above]


@pytest.mark.parametrize("nothing", MISSING)
@pytest.mark.parametrize(
    "text",
    ["amount == 5", "amount != 5", "amount < 5", "amount <= 5", "amount > 5", "amount >= 5", "amount in [5]",
     "amount between 0 and 9", "amount not in [5]", 'user == "u1"', 'user != "u1"', "user in list blocked",
     "user not in list blocked", 'born > "2000-01-01"', "is_open == true", "is_open != true", "amount is not missing"],
)  # fmt: skip
def test_a_comparison_with_a_missing_value_is_false(text, nothing):
    assert holds(text, dict.fromkeys(FEATURES, nothing), user=nothing) is False
    assert holds(text, {}) is False
    assert holds(f"not {text}", dict.fromkeys(FEATURES, nothing), user=nothing) is True


@pytest.mark.parametrize("nothing", MISSING)
def test_only_is_missing_asks_for_a_missing_value(nothing):
    assert holds("amount is missing and user is missing", {"amount": nothing}, user=nothing)
    assert not holds("amount is missing or user is missing", {"amount": 0}, user="u")


@pytest.mark.parametrize("value", ["5", b"5", [5], {"a": 5}])
def test_a_value_of_another_kind_compares_as_a_missing_one(value):
    assert not holds("amount == 5 or amount != 5 or amount < 5 or amount in [5]", {"amount": value})


def test_a_list_holds_values_of_the_kind_that_is_looked_up():
    assert [holds("user in list blocked", user=user) for user in ("u1", "u3", "U1")] == [True, False, False]
    assert [holds("amount in list numbers", {"amount": n}) for n in (7, 7.0, 8.5, 9)] == [True, True, True, False]
    assert list(lists_in(parsed("not (user in list a or amount in list b)"))) == [("user", "a"), ("amount", "b")]


def test_a_text_is_compared_as_it_stands():
    assert holds('state == "CA"', {"state": "CA"})
    assert not holds('state == "CA"', {"state": "ca"})
    assert holds("""user == 'say "hi"'""", user='say "hi"')
    assert holds('state in ["and", "list"]', {"state": "list"})


@pytest.mark.parametrize(
    ("born", "is_after"),
    [(datetime(2000, 1, 1, tzinfo=UTC), False), (datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC), True),
     (datetime(1950, 1, 1, tzinfo=UTC), False)],
)  # fmt: skip
def test_a_timestamp_is_compared_in_utc(born, is_after):
    assert holds('born > "2000-01-01"', {"born": born}) is is_after
    assert holds('born > "2000-01-01T02:00:00+02:00"', {"born": born}) is is_after


def test_a_name_of_both_sides_says_which_it_means():
    assert holds("feature.count == 1 and request.count == 2", {"count": 1}, count=2)
    with pytest.raises(RuleFault, match=r"Write feature\.count or request\.count"):
        holds("count == 1")


def test_and_binds_tighter_than_or_and_not_tightest():
    text = "not amount == 1 and amount == 2 or amount == 3"
    assert [n for n in range(5) if holds(text, {"amount": n})] == [2, 3]
    assert [n for n in range(5) if holds("not (amount == 1 or amount > 2)", {"amount": n})] == [0, 2]
    assert [n for n in range(5) if holds("amount > 0 and (amount < 2 or amount > 3)", {"amount": n})] == [1, 4]


conditions = st.recursive(
    st.sampled_from(["amount > 1", "amount <= 2", "amount is missing", "amount in [0, 3]", "amount between 1 and 2"]),
    lambda part: (
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
        | part.map(lambda text: f"not ({text})")
    ),
    max_leaves=8,
)


@given(conditions, st.sampled_from([None, 0, 1, 1.5, 2, 3]))
def test_a_condition_means_what_the_same_python_means(text, amount):
    """The oracle is Python, where each comparison is false for a missing value."""
    python = text.replace("amount is missing", "amount is None")
    for test in ("amount > 1", "amount <= 2", "amount in [0, 3]"):
        python = python.replace(test, f"(amount is not None and {test})")
    python = python.replace("amount between 1 and 2", "(amount is not None and 1 <= amount <= 2)")
    assert holds(text, {"amount": amount}) is eval(python, {"amount": amount})


@given(conditions)
def test_a_condition_that_is_written_and_read_again_is_the_same(text):
    assert parsed(str(parsed(text))) == parsed(text)
    assert set(names_in(parsed(text))) == {"amount"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("amout > 5", r"no feature or request field 'amout'\. Did you mean 'amount'\?"),
     ("request.amount > 5", "no feature or request field 'request.amount'"),
     ("amount = 5", "unknown operator '='.*Use one of: ==, "), ("amount => 5", "unknown operator '=>'"),
     ("amount like 5", "unknown operator 'like'"), ("amount <> 5", "unknown operator '<>'"),
     ('amount > "5"', r"amount is a number, and '5' is none\. Write a number without quotes"),
     ("amount > true", "amount is a number"), ("user == 5", "user is a text.*in quotes"),
     ('user == ""', r"Write: user is missing"), ('user > "a"', "user is a text, which has no order"),
     ('user between "a" and "b"', "no order"), ("is_open == 2", "Write true or false"), ("is_open < 1", "no order"),
     ('born > "soon"', "'soon' is not a timestamp"), ("born > 5", "born is a time"),
     ("raw == 1", "Ask only whether it is missing"), ("amount between 9 and 1", "Exchange the ends"),
     ("user in list nobody", r"no list 'nobody'\. There are: blocked, numbers"), ("born in [5]", "no list holds"),
     ('user in ["a", 5]', "user is a text"), ("user in []", "Write a number, a text in quotes"),
     ("amount > 5 AND is_open == true", "Write it in small letters: and"), ("NOT amount > 5", "in small letters: not"),
     ("amount > 5 && is_open == true", "'&&' is at character 12.*Write: and"), ("amount > 5 || a > 1", "Write: or"),
     ("user == null", "Ask for a missing value by: is missing"), ("amount != None", "by: is missing"),
     ("amount > 5,5", r"a fraction with a point, such as 0\.25"),
     ("amount >", "the condition ends"), ("(amount > 5", "Close the parenthesis"),
     ("amount > 5)", "Join two conditions"),
     ("amount > 5 state == 1", "Join two conditions"), ("amount > 5 count > 1", "Join two conditions"),
     ("", "Write the name"), ("and > 5", "Write the name"), ("5 > amount", "Write the name"),
     ("amount > 1.2.3", "Write a number"), ('amount > "5', "Write a number"), ("amount > user", "Write a number"),
     ("amount > " + "9" * 50, "too long"), ("not " * 60 + "amount > 5", "nested more than 50 times"),
     ("(" * 5000 + "amount > 5", "nested more than 50 times"), ("amount is null", "is missing")],
)  # fmt: skip
def test_a_wrong_condition_is_refused_with_what_to_do(text, message):
    with pytest.raises(RuleFault, match=message):
        holds(text)
