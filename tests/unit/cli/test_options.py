"""The command line that repeats a command."""

import pytest
import typer.main

from covid_cxr.cli.main import app
from covid_cxr.cli.options import repeat_command


def context_of(words: str) -> typer.Context:
    name, *rest = words.split()
    return typer.main.get_command(app).commands[name].make_context(name, rest)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("demo --out runs/x", "demo --seed 2020"),
        ("demo --rigged --seed 3", "demo --rigged --seed 3"),
        (
            "run c.yaml --data /secret -s a=1 -s b=2 --runs 3 --json",
            "run c.yaml --data DATA -s a=1 -s b=2 --runs 3",
        ),
        ("train c.yaml --cohort c.csv", "train c.yaml --cohort c.csv --data DATA"),
        (
            "cross-validate c.yaml --cohort c.csv --leave-out both --seeds 2",
            "cross-validate c.yaml --cohort c.csv --data DATA --leave-out both --seeds 2",
        ),
        (
            "validate m --cohort c.csv --out o --recalibrate --share 0.25 --prevalence 0.05",
            "validate m --cohort c.csv --data DATA --recalibrate --share 0.25 --prevalence 0.05",
        ),
    ],
)
def test_what_changes_the_result_is_repeated(words: str, expected: str) -> None:
    assert repeat_command(context_of(words)) == f"covid-cxr {expected}"


def test_a_value_can_be_replaced() -> None:
    context = context_of("explain-eval runs/folds --budget full")
    repeated = repeat_command(context, run="RUN", methods="[lime, cam]", samples=100)
    expected = "explain-eval RUN --data DATA --methods '[lime, cam]' --samples 100 --budget full"
    assert sorted(repeated.split()) == sorted(f"covid-cxr {expected} --seed 0".split())
