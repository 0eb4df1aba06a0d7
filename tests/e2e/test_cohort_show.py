"""`cohort show` from end to end: what it prints, writes and rejects; the page in a browser."""

import json
import shutil
from pathlib import Path

import pytest

from covid_cxr import cli
from covid_cxr.cohort import schema
from covid_cxr.cohort.build import build
from covid_cxr.config import CohortConfig, DatasetConfig

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def cohort(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = CohortConfig(datasets={"phantoms": DatasetConfig(adapter="csv", path="manifest.csv")})
    path = tmp_path_factory.mktemp("cohort") / "cohort.csv"
    schema.save(build(phantoms, config, seed=1).cohort, path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.run(["cohort", "show", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_warns_of_the_images(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    words = " ".join(out.split())
    assert status == 0
    assert "covid-cxr cohort show cohort/cohort.csv" in words
    assert "never publish or commit" in words


def test_prints_tables_then_the_warning(capsys: pytest.CaptureFixture[str], cohort: Path) -> None:
    status, out, err = run(capsys, cohort)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    included = (schema.load(cohort)["split"] != "excluded").sum()
    assert lines[0].startswith(f"{included} images of ")
    titles = ("Images by source", "Images by site", "Not stated", "Left out", "What predicts")
    places = [out.index(title) for title in (*titles, "Warning", "All images come from phantoms")]
    assert places == sorted(places)
    assert "Not a medical device" in lines[-1]
    assert {"site", "view", "sex", "age"} <= {line.split(" ")[0] for line in lines}


def test_json_is_the_summary_and_nothing_else(
    capsys: pytest.CaptureFixture[str], cohort: Path, tmp_path: Path
) -> None:
    status, out, _ = run(capsys, cohort, "--json", "--out", tmp_path)
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "summary.json").read_text())
    assert not (tmp_path / "montages").exists()


def test_sheets_are_drawn_where_the_images_are_given(
    capsys: pytest.CaptureFixture[str], cohort: Path, phantoms: Path, tmp_path: Path
) -> None:
    status, out, _ = run(capsys, cohort, "--out", tmp_path, "--data", phantoms, "--seed", 3)
    assert status == 0
    pages = {path.stem for path in (tmp_path / "montages").iterdir()}
    assert {"phantoms-normal", "phantoms-pneumonia", "phantoms-covid-19", "duplicates-1"} <= pages
    assert f"Montages: {len(pages)} in" in out and "never publish" in out
    assert (tmp_path / "cohort.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "'none.csv' cannot be read"),
        (["COHORT", "--data", "."], "give --out DIR"),
        (["COHORT", "--data", "none", "--out", "o"], "'none' is no folder"),
    ],
)
def test_errors_are_one_line(
    *,
    capsys: pytest.CaptureFixture[str],
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *(each.replace("COHORT", str(cohort)) for each in arguments))
    assert status == 2 and message in err and err.count("\n") == 1 and out == ""
    assert not list(tmp_path.iterdir())


def test_a_leak_is_an_error(
    capsys: pytest.CaptureFixture[str], cohort: Path, tmp_path: Path
) -> None:
    table = schema.load(cohort)
    table["patient_id"] = "one"
    table.to_csv(tmp_path / "cohort.csv", index=False)
    status, _, err = run(capsys, tmp_path / "cohort.csv")
    assert status == 3 and "patient 'one'" in err


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_page_in_a_browser(
    capsys: pytest.CaptureFixture[str], cohort: Path, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    run(capsys, cohort, "--out", tmp_path)
    file = (tmp_path / "cohort.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        for width, scheme in ((1440, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            heard: list[str] = []
            page.on("console", lambda message, heard=heard: heard.append(message.text))
            page.on("request", lambda request, heard=heard: heard.append(request.url))
            page.goto(file)
            assert [each for each in heard if not each.startswith("data:")] == [file]
            assert page.evaluate("document.documentElement.scrollWidth") == width
            ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
            assert ink == page.evaluate("getComputedStyle(document.body).color")
        browser.close()
