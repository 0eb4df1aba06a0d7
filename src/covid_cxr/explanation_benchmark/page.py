"""The benchmark as a Markdown page of tables: method x measure x time."""

from __future__ import annotations

from collections.abc import Mapping

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.report import formatting
from covid_cxr.results.explanation_benchmark import ExplanationBenchmark, Score


def markdown(result: ExplanationBenchmark) -> str:
    """Return the page of a finished benchmark."""
    return formatting.render(
        "explain-eval.md.j2", result=result, baselines=tuple(BASELINES), measured=_measured
    )


def _measured(
    methods: Mapping[str, Mapping[str, Score]],
    columns: Mapping[str, str],
    with_baselines: bool = True,
) -> dict[str, Mapping[str, Score]]:
    """Return the methods that have any of the columns, those that know the model first."""
    return {
        name: methods[name]
        for name in sorted(methods, key=lambda name: (name in BASELINES, name))
        if (with_baselines or name not in BASELINES) and columns.keys() & methods[name].keys()
    }
