"""Registries: listing imports nothing, plugins join, what is missing is said."""

import sys
from importlib.metadata import EntryPoint
from unittest.mock import patch

import pytest

from covid_cxr import registry
from covid_cxr.errors import MissingDependency, UnknownName

BUILTIN = {"path": "pathlib:Path", "broken": "not_a_module_at_all:x"}


def test_a_name_gives_what_it_stands_for() -> None:
    from pathlib import Path

    assert registry.resolve("thing", "path", BUILTIN, "covid_cxr.none") is Path


def test_unknown_names_suggest_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"unknown thing 'paht': did you mean 'path'\?"):
        registry.resolve("thing", "paht", BUILTIN, "covid_cxr.none")


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingDependency, match=r"'not_a_module_at_all'.*covid-cxr\[train\]"):
        registry.resolve("thing", "broken", BUILTIN, "covid_cxr.none")


def test_plugins_join_but_cannot_take_over_a_built_in_name() -> None:
    group = "covid_cxr.explainers"
    plugins = [
        EntryPoint("other", "other_package:explain", group),
        EntryPoint("path", "evil:Path", group),
    ]
    with patch("covid_cxr.registry.entry_points", return_value=plugins):
        names = registry.names(BUILTIN, group)
    assert names["other"] == "other_package:explain"
    assert names["path"] == "pathlib:Path"
    assert "other_package" not in sys.modules
