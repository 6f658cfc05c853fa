"""The domain `catalog`: numbers about a shop's products, categories and customers. It declares features only, and no
decision."""

from datetime import timedelta

from features.windows import Aggregation, AggregationTable, Column, Derived, LiveFeatures, RawTable

YEAR, MONTH = timedelta(days=365), timedelta(days=30)
STARS = (1, 5)
#: Their product is within what a sum can hold (`folds.LARGEST`).
MOST_UNITS, HIGHEST_PRICE = 10_000, 900_000

TRANSACTIONS = RawTable(
    "transactions",
    time="transaction_date",
    id="transaction_id",
    is_live=True,
    columns=(
        Column("transaction_id", "string"),
        Column("customer_id", "string"),
        Column("product_id", "string"),
        Column("category", "string"),
        Column("price", "float", minimum=0, maximum=HIGHEST_PRICE),
        Column("quantity", "int", minimum=0, maximum=MOST_UNITS),
        Column("review_rating", "float", is_optional=True, minimum=STARS[0], maximum=STARS[1]),
        Column("review_text", "string", is_optional=True),
    ),
    derived=(Derived("amount", "product", ("price", "quantity")),),
)
# Live values have no window: a value holds until a newer event of its key, and for a year at most. After a year even
# seasonal goods have had their season again, and the value says nothing about today.
PRODUCT_REVIEWS = AggregationTable(
    "product_reviews", TRANSACTIONS, "product_id", lives=YEAR,
    aggregations=(
        Aggregation("average_last_5_reviews", "last_n_mean", "review_rating", None, n=5, unit="stars",
                    description="Mean of a product's last five ratings; sales without a rating do not count."),
    ),
    description="The last ratings of a product.",
)  # fmt: skip
CATEGORY_ORDERS = AggregationTable(
    "category_orders", TRANSACTIONS, "category", lives=YEAR,
    aggregations=(
        Aggregation("revenue_last_3_orders", "last_n_sum", "amount", None, n=3, unit="USD",
                    description="Revenue of the last three orders in a category."),
    ),
    description="The last orders in a category.",
)  # fmt: skip
CUSTOMER_ORDERS = AggregationTable(
    "customer_orders", TRANSACTIONS, "customer_id", lives=YEAR,
    aggregations=(
        Aggregation("last_order_amount", "last", "amount", None, unit="USD",
                    description="Amount of a customer's newest order."),
    ),
    description="The newest order of a customer.",
)  # fmt: skip
CUSTOMER_REVIEWS = AggregationTable(
    "customer_reviews", TRANSACTIONS, "customer_id", also=("product_id",), lives=YEAR,
    aggregations=(
        Aggregation("last_rating", "last", "review_rating", None, unit="stars",
                    description="The newest rating that a customer gave to a product."),
    ),
    description="The newest rating of a product by a customer.",
)  # fmt: skip
CATALOG_LIVE = LiveFeatures("catalog_now", (PRODUCT_REVIEWS, CATEGORY_ORDERS, CUSTOMER_ORDERS, CUSTOMER_REVIEWS))
LIVE = (CATALOG_LIVE,)

PRODUCT_SALES = AggregationTable(
    "product_sales", TRANSACTIONS, "product_id",
    (Aggregation("average_rating_30d", "mean", "review_rating", MONTH, unit="stars",
                 description="Mean of a product's ratings of 30 days."),
     Aggregation("units_sold_30d", "sum", "quantity", MONTH, unit="units",
                 description="Units of a product sold in 30 days."),
     Aggregation("product_revenue_30d", "sum", "amount", MONTH, unit="USD",
                 description="Revenue of a product in 30 days.")),
    description="Sales and ratings of a product, up to midnight.",
)  # fmt: skip
CATEGORY_SALES = AggregationTable(
    "category_sales", TRANSACTIONS, "category",
    (Aggregation("category_revenue_30d", "sum", "amount", MONTH, unit="USD",
                 description="Revenue of a category in 30 days."),),
    description="Sales of a category, up to midnight.",
)  # fmt: skip
TABLES = (PRODUCT_SALES, CATEGORY_SALES)
