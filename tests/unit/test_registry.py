"""Registries: listing imports nothing, plugins join, what is missing is said."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from unittest.mock import patch

import pytest

from covid_cxr import registry
from covid_cxr.errors import InputError, MissingDependency, UnknownName
from support.distributions import install

BUILTIN = {"path": "pathlib:Path", "broken": "not_a_module_at_all:x"}


def test_a_name_gives_what_it_stands_for() -> None:
    assert registry.resolve("thing", "path", BUILTIN, "covid_cxr.none") is Path


def test_unknown_names_suggest_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"unknown thing 'paht': did you mean 'path'\?"):
        registry.resolve("thing", "paht", BUILTIN, "covid_cxr.none")


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingDependency, match=r"'not_a_module_at_all'.*covid-cxr\[train\]"):
        registry.resolve("thing", "broken", BUILTIN, "covid_cxr.none")


PLUGINS = {
    "good": "good_plugin:function",
    "absent": "absent_plugin:function",
    "hungry": "hungry_plugin:function",
    "faulty": "broken_plugin:function",
    "renamed": "good_plugin:fuction",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with one module that works and some that do not."""
    install(tmp_path, "my-plugins", "1.2", {"covid_cxr.things": PLUGINS})
    (tmp_path / "good_plugin.py").write_text("def function(a, b): ...")
    (tmp_path / "hungry_plugin.py").write_text("import not_a_module_at_all")
    (tmp_path / "broken_plugin.py").write_text("1 +")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_plugin_of_an_installed_distribution_is_imported_when_used() -> None:
    assert "good" in registry.names(BUILTIN, "covid_cxr.things")
    assert "good_plugin" not in sys.modules
    assert registry.resolve("thing", "good", BUILTIN, "covid_cxr.things").__name__ == "function"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("absent", InputError, "cannot be imported from 'absent_plugin:function' .*No module"),
        ("hungry", MissingDependency, "needs the package 'not_a_module_at_all', which is not in"),
        ("faulty", InputError, "cannot be imported from 'broken_plugin:function' .SyntaxError"),
        ("renamed", InputError, "cannot be imported from 'good_plugin:fuction' .AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_its_package(
    name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(
        error, match=f"^thing '{name}' of the package my-plugins 1.2 {message}"
    ) as e:
        registry.resolve("thing", name, BUILTIN, "covid_cxr.things")
    assert "\n" not in str(e.value)


def test_a_function_of_other_parameters_is_rejected() -> None:
    registry.check_parameters(
        lambda root, options, more=1: None, 2, "thing 'x'", "f(root, options)"
    )
    with pytest.raises(
        InputError, match=r"^thing 'x' is .*\(root\), expected a function f\(root, o"
    ):
        registry.check_parameters(lambda root: None, 2, "thing 'x'", "f(root, options)")
    with pytest.raises(InputError, match="thing 'x' is a int, expected a function"):
        registry.check_parameters(3, 2, "thing 'x'", "f(root, options)")  # type: ignore[arg-type]


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
