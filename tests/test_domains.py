"""A domain is one word, the same in every room. Whoever adds one learns here which room was forgotten."""

from pathlib import Path

import pytest

import settings
from features import DOMAINS


def missing_rooms(root: Path, domain: str) -> list[str]:
    """What a domain still lacks in the repository at `root`, one line for each room, with what to write there. A
    simulator is no such room: without one, the raw events are the user's own."""
    rooms = {
        f"{room}/{name}: {what}": (root / room / name).is_file()
        for room, name, what in [
            ("feature_repo/features", f"{domain}.py", "say what its features mean"),
            ("feature_repo/views", f"{domain}.py", "say how Feast stores and serves them"),
            ("tests", f"test_{domain}.py", "hold it to what it claims"),
        ]
    }
    return [f"The domain {domain!r} has no {room}" for room, is_there in rooms.items() if not is_there]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_every_room(domain):
    assert missing_rooms(settings.PROJECT, domain) == []


def test_a_domain_is_named_once_and_its_name_is_one_word_of_python():
    assert len(set(DOMAINS)) == len(DOMAINS)
    assert all(domain.isidentifier() and domain.islower() for domain in DOMAINS)


ROOMS = {
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
