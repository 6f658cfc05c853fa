"""A domain is one word, the same in every room. Whoever adds one learns here which room was forgotten."""

import ast
from pathlib import Path

import pytest

import settings
from features import DOMAINS


def missing_rooms(root: Path, domain: str) -> list[str]:
    """What a domain still lacks in the repository at `root`, one line for each room, with what to write there."""
    generator = root / "generate_data.py"
    functions = ast.parse(generator.read_text()).body if generator.exists() else []
    made = any(isinstance(part, ast.FunctionDef) and part.name == domain for part in functions)
    rooms = {
        f"generate_data.{domain}(): write the function that makes its raw events": made,
        **{
            f"{room}/{name}: {what}": (root / room / name).is_file()
            for room, name, what in [
                ("feature_repo/features", f"{domain}.py", "say what its features mean"),
                ("feature_repo/views", f"{domain}.py", "say how Feast stores and serves them"),
                ("tests", f"test_{domain}.py", "hold it to what it claims"),
            ]
        },
    }
    return [f"The domain {domain!r} has no {room}" for room, is_there in rooms.items() if not is_there]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_every_room(domain):
    assert missing_rooms(settings.ROOT, domain) == []


def test_a_domain_is_named_once_and_its_name_is_one_word_of_python():
    assert len(set(DOMAINS)) == len(DOMAINS)
    assert all(domain.isidentifier() and domain.islower() for domain in DOMAINS)


ROOMS = {
    "generate_data.py": (
        "def refund_abuse(seed, now, drivers, hash_key):\n    return {}\n",
        "generate_data.refund_abuse()",
    ),
    "feature_repo/features/refund_abuse.py": ("", "feature_repo/features/refund_abuse.py"),
    "feature_repo/views/refund_abuse.py": ("", "feature_repo/views/refund_abuse.py"),
    "tests/test_refund_abuse.py": ("", "tests/test_refund_abuse.py"),
}


@pytest.fixture
def repository(tmp_path):
    """A repository with every room of `refund_abuse`."""
    for path, (text, _) in ROOMS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_a_whole_domain_lacks_nothing(repository):
    assert missing_rooms(repository, "refund_abuse") == []


@pytest.mark.parametrize("forgotten", ROOMS)
def test_a_forgotten_room_is_named(repository, forgotten):
    (repository / forgotten).unlink()
    (complaint,) = missing_rooms(repository, "refund_abuse")
    assert complaint.startswith(f"The domain 'refund_abuse' has no {ROOMS[forgotten][1]}: ")


def test_a_domain_of_which_only_the_name_is_there_lacks_every_room(tmp_path):
    assert len(missing_rooms(tmp_path, "refund_abuse")) == len(ROOMS)


def test_a_function_of_another_name_is_not_the_domains(repository):
    (repository / "generate_data.py").write_text("def refunds():\n    refund_abuse = 1\n")
    (complaint,) = missing_rooms(repository, "refund_abuse")
    assert "generate_data.refund_abuse()" in complaint
