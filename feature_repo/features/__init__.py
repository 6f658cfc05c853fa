"""What each feature means: pure Python, no Feast, no files, no clock.

A domain is one word, the same in every room: `features/<domain>.py`, `views/<domain>.py`,
`simulators/<domain>.py`, `tests/test_<domain>.py`. Adding one starts with its name here.
"""

DOMAINS = ("onboarding", "chargeback", "coupon", "loyalty", "catalog")
