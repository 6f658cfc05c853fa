"""A card outlives the code that wrote it."""

import json

from model.card import Card

OLD = {
    "name": "made_up", "version": "v1", "feature_service": "made_up", "champion": "logistic_regression",
    "algorithm": "-", "inputs": [], "base": 0.5, "refused": {}, "libraries": {}, "model_sha256": "-",
    "metrics": {"logistic_regression": {"roc_auc": 0.8, "average_precision": 0.5, "brier": 0.1, "log_loss": 0.3,
                                        "card_precision_100": None}},
    "train": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "rows": 9, "positives": 3},
    "test": {"since": "2026-01-03T00:00:00Z", "until": "2026-01-04T00:00:00Z", "rows": 9, "positives": 3},
    "thresholds": {"approve_below": 0.2, "decline_from": 0.7},
    "outcomes": {"approve": {"share": 0.5, "positive_rate": None}, "review": {"share": 0.5, "positive_rate": 0.1},
                 "decline": {"share": 0.0, "positive_rate": 0.9}},
    "trees_sha256": None,
}  # fmt: skip


def test_a_card_from_before_there_were_numbers_is_read_and_written_as_it_was():
    card = Card.model_validate(OLD)
    assert (card.task, card.bounds, card.headline) == ("classification", None, "AUC 0.800")
    assert json.loads(card.model_dump_json()) == OLD
