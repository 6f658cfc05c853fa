"""`python -m jobs simulate DOMAIN`: somebody uses the running service. A domain that can be simulated has a module or a
package `jobs/simulate/<domain>`, with ABOUT in a few words, `add_arguments(parser)` and `run(asked)`."""

import argparse
from importlib import import_module
from importlib.util import find_spec

from features import DOMAINS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    domains = parser.add_subparsers(dest="domain", required=True)
    for domain in DOMAINS:
        if find_spec(f"jobs.simulate.{domain}"):
            module = import_module(f"jobs.simulate.{domain}")
            of = domains.add_parser(domain, help=module.ABOUT)
            module.add_arguments(of)
            of.set_defaults(simulate=module.run)


def run(asked: argparse.Namespace) -> None:
    asked.simulate(asked)
