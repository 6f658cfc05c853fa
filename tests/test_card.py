"""A card outlives the code that wrote it. `tests/old_cards/` holds cards that older versions of `jobs train` wrote."""

import json

import pytest

import settings
from model.card import Card

FILES = sorted((settings.PROJECT / "tests/old_cards").glob("*.json"))


def read(name: str) -> Card:
    return Card.model_validate_json((settings.PROJECT / f"tests/old_cards/{name}.json").read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_old_card_loses_nothing_but_its_thresholds_when_written_again(file):
    card = Card.model_validate_json(file.read_text())
    assert Card.model_validate_json(card.model_dump_json()) == card
    old = json.loads(file.read_text().replace('"card_precision_100"', '"card_precision"'))
    del old["thresholds"]  # they are beside the model today
    for metrics in old["metrics"].values():
        if metrics["card_precision"] is None:  # a figure that does not apply is left out today
            del metrics["card_precision"]
    assert json.loads(card.model_dump_json()) == old


def test_the_card_precision_of_an_old_card_is_read_without_its_top():
    card = read("classification")
    assert (card.quality.card_precision, card.top) == (0.375, None)


def test_a_card_written_before_regressions_existed_is_a_classification():
    card = read("before_regressions")
    assert (card.task, card.bounds, card.headline) == ("classification", None, "AUC 0.800")


def test_an_old_regression_keeps_its_task_bounds_and_metrics():
    card = read("regression")
    assert (card.task, card.bounds, card.headline) == ("regression", (1.0, 10.0), "RMSE 1.037")
    assert card.quality.card_precision is None
