"""The features of an order, by pandas over all raw orders."""

from datetime import timedelta

import pandas as pd

from features.chargeback import BASELINE_DELAY, LABEL_DELAY

DAY = timedelta(days=1)


def features_by_hand(orders: pd.DataFrame, order: pd.Series) -> dict:
    """The features of an order from the raw orders, as known at its timestamp."""
    t = order["event_timestamp"]
    of_user, of_merchant = (orders[orders[key] == order[key]] for key in ("user_id", "merchant_id"))

    def within(
        frame: pd.DataFrame, days: int, column: str = "order_timestamp", delay: timedelta = 0 * DAY
    ) -> pd.DataFrame:
        oldest = (t - delay - days * DAY).floor("h" if days <= 12 else "D")
        return frame[(frame[column] >= oldest) & (frame[column] < t - delay)]

    expected = {f"user_orders__orders_count_{d}d": len(within(of_user, d)) for d in (1, 7, 30)}
    expected |= {"orders_count_3d": len(within(of_user, 3))}
    expected |= {f"orders_amount_mean_{d}d": within(of_user, d)["amount"].mean() for d in (1, 7, 30)}
    expected |= {"orders_amount_stddev_30d": within(of_user, 30)["amount"].std()}
    expected |= {"orders_amount_max_30d": within(of_user, 30)["amount"].max()}
    expected |= {f"merchant_risk__orders_count_{d}d": len(within(of_merchant, d)) for d in (1, 7, 30)}
    for d in (3, 7, 30):
        for table, frame in (("user", of_user), ("merchant", of_merchant)):
            expected[f"{table}_chargebacks__chargebacks_count_{d}d"] = len(within(frame, d, "chargeback_timestamp"))
    month, three_weeks = (len(within(of_merchant, d, "chargeback_timestamp")) for d in (30, 21))
    expected["merchant_chargebacks_count_30d_to_21d"] = month - three_weeks
    for d in (1, 7, 30):
        mature = within(of_merchant, d, delay=LABEL_DELAY)
        expected[f"chargeback_rate_{d}d"] = (mature["chargeback_timestamp"] < t).mean()
    for n in (1, 2, 3, 5):
        mature = within(of_merchant, 30, delay=LABEL_DELAY).sort_values(["order_timestamp", "order_id"])[-n:]
        expected[f"chargeback_rate_last_{n}"] = (mature["chargeback_timestamp"] < t).mean()
    baseline = within(of_user, 30, delay=BASELINE_DELAY)["amount"].mean()
    expected["amount_to_baseline"] = order["amount"] / baseline
    for d in (1, 3, 7):
        expected[f"max_{d}d_to_baseline"] = within(of_user, d)["amount"].max() / baseline
    return expected
