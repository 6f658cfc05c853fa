"""Many requests of all kinds, with which the tests compare two stores."""

import re
from datetime import datetime

from app import create_app
from features.domains import risks
from serving.retrieval import FeastStore
from web import examples


def answers(store: FeastStore, now: datetime) -> list[bytes]:
    """What the service answers to many requests at `now`, without the ids that it gives to decisions."""
    client = create_app(store, clock=lambda: now).test_client()
    responses = []
    for risk in risks().values():
        if not risk.path_field:
            example = examples.of_model(risk.request)
            responses.append(
                client.post(f"/api/v1/decisions/{risk.name}", data=example, content_type="application/json")
            )
    for number in range(25):
        order = {"order_id": f"o{number}", "user_id": f"u{number:05}", "amount": number * 3.5}
        order |= {} if number % 3 else {"merchant_id": f"m{number:05}"}
        person = {"state": "CA", "ssn": f"{100 + number}-45-6789", "dl": f"D12345{number:02}", "dob": "1990-05-17"}
        responses += [
            client.get(f"/daily-risk-decision/{1001 + number}/"),
            client.post("/api/v1/decisions/chargeback", json=order),
            client.post("/onboarding-risk-decision/", json=person),
            client.get(f"/api/v1/stream/products/p{number:04}/average-last-5-reviews"),
            client.get(f"/api/v1/offline/products/p{number:04}/units-sold-30d"),
        ]
    return [re.sub(rb'"decision_id": ?"[^"]*"', b"", b"%d " % r.status_code + r.data) for r in responses]
