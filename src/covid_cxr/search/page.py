"""`search.html`: one self-contained page about a search, in the style of the report."""

from __future__ import annotations

from pathlib import Path

from covid_cxr.files import atomic_write
from covid_cxr.report import formatting
from covid_cxr.search.figures import draw
from covid_cxr.search.results import Nested, SearchResult, TrialRecord
from covid_cxr.search.space import Value, describe

_MOST_ROWS = 20
PAGE = "search.html"


def write_page(result: SearchResult, out: Path) -> Path:
    """Write the page and return its path."""
    ranked = sorted(result.complete, key=lambda trial: (-trial.values[0], trial.number))
    text = formatting.render(
        "search.html.j2",
        result=result,
        sentences=sentences(result),
        figures=draw(result),
        ranked=ranked[:_MOST_ROWS],
        failed=[trial for trial in result.trials if trial.state == "failed"],
        parameters=[
            (field, describe(parameter), _conditions(parameter.when))
            for field, parameter in result.search.space.items()
        ],
        conditional=any(parameter.when for parameter in result.search.space.values()),
        in_words=in_words,
    )
    atomic_write(out / PAGE, text)
    return out / PAGE


def sentences(result: SearchResult) -> list[str]:
    """Return what the search shows, in words."""
    best, default = result.best, result.default
    lines = []
    if best.number == default.number:
        lines.append(
            f"No trial scored above the default recipe: {result.metric} {default.values[0]:.3f}."
        )
    else:
        gain = best.values[0] - default.values[0]
        lines.append(
            f"Trial {best.number} scored best: {result.metric} {_with_spread(best)}; the default "
            f"recipe {_with_spread(default)}, a difference of {gain:+.3f}."
        )
    lines.append(f"A constant prior scores {result.constant_prior:.3f}.")
    if result.nested:
        lines += _nested_sentences(result.nested)
    elif len(result.complete) > 1:
        lines.append(
            f"The best of {len(result.complete)} scores is flattered by the choice, for part of it "
            "is luck; how much, a nested search says."
        )
    lines.append("The test split took no part: no trial could read it.")
    return lines


def _nested_sentences(nested: Nested) -> list[str]:
    gains = nested.gains
    spread = f"{min(gains):+.3f} to {max(gains):+.3f}"
    lines = [
        f"Nested estimate, {len(gains)} outer folds: on patients that no trial saw, what the "
        f"search chose scored {nested.gain:+.3f} against the default recipe ({spread} by fold), "
        f"where the search itself promised {nested.promised:+.3f}. Choosing flattered the best by "
        f"{nested.flattery:+.3f}."
    ]
    if nested.gain <= 0:
        lines.append("By this estimate the search gains nothing over the default recipe.")
    return lines


def in_words(value: Value) -> str:
    """Return a parameter's value in a few characters."""
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else formatting.NONE
        if value is None
        else str(value)
    )


def _with_spread(trial: TrialRecord) -> str:
    score = f"{trial.values[0]:.3f}"
    if len(trial.repeats) < 2:
        return score
    return f"{score} (spread {trial.spread:.3f} over {len(trial.repeats)} repeats)"


def _conditions(when: dict[str, Value | tuple[Value, ...]]) -> str:
    return "; ".join(
        f"{field} is {' or '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for field, value in when.items()
    )
