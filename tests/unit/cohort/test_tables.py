"""Tables as spreadsheets save them, and the words in their cells."""

from pathlib import Path

import pytest

from covid_cxr.cohort.cells import age_of, is_understood, is_view_understood, sex_of, view_of
from covid_cxr.cohort.tables import header_of, read_table
from covid_cxr.errors import CohortError

LINES = ["path,patient_id,finding,sex", "im/1.png,007,normal,männlich", '"a, b.png",8,covid-19,F']
CELLS = [["im/1.png", "007", "normal", "männlich"], ["a, b.png", "8", "covid-19", "F"]]
COLUMNS = ["path", "patient_id", "finding", "sex"]


def with_separator(separator: str) -> str:
    rows = [COLUMNS, *CELLS]
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in rows]
    return "\r\n".join(map(separator.join, quoted)) + "\r\n"


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES).encode(),
        "\n".join(LINES).encode("utf-8-sig"),
        "\n".join(LINES).encode("cp1252"),
        with_separator(";").encode("cp1252"),  # "CSV" of a Western European Excel
        with_separator(";").encode("utf-8-sig"),
        with_separator("\t").encode("utf-16"),  # "Unicode text"
        with_separator(",").encode("utf-16-le"),  # the mark lost
        with_separator(",").encode("utf-16-be"),
        ("sep=;\r\n" + with_separator(";")).encode(),
        with_separator("|").encode(),
        "\n".join([" path ,\u00a0patient_id, Finding,SEX", *LINES[1:]]).encode(),
        "\n".join([*LINES, ",,,", "   ", ""]).encode(),  # rows that were emptied
    ],
)
def test_one_table_however_it_was_saved(tmp_path: Path, content: bytes):
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    table = read_table(file, COLUMNS[:3], COLUMNS)
    assert list(table.columns) == COLUMNS
    assert table.to_numpy().tolist() == CELLS
    assert header_of(file, COLUMNS) == set(COLUMNS)


def test_rows_stand_under_their_lines(tmp_path: Path):
    file = tmp_path / "table.csv"
    file.write_text('sep=,\na,b\n1,"two\nlines"\n\n3,4\n')
    assert read_table(file, ("a", "b")).index.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\0\0\0\0\x08\0\0\0" * 20, "is no text; save it as CSV in UTF-8"),
        (b'a,b\n1,"2\n3,4\n', "in the row that begins in line 2"),
        (b"a,A,b\n1,2,3\n", "lacks column x; it has a, A, b"),
        (b"x,x \n1,2\n", "has the column 'x' twice"),
    ],
)
def test_what_is_unclear_is_an_error_of_one_line(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    with pytest.raises(CohortError, match=message) as error:
        read_table(file, ("x",))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "years"),
    [
        ("5 years", 5),
        ("5 years old", 5),
        ("6 months", 0.5),
        ("6 meses", 0.5),
        ("18 mois", 1.5),
        ("5Y", 5),
        ("006M", 0.5),
        ("5,5", 5.5),
        ("0-9", 4.5),
        ("60–69 Jahre", 64.5),
        ("<1", 0.5),
        ("< 6 months", 0.25),
        ("60s", 64.5),
        (">90", 90),
        ("90+", 90),
        ("1 year 3 months", 1.25),
        ("1y6m", 1.5),
        ("42 años", 42),
        ("7 ans", 7),
        ("3 Wochen", 21 / 365.25),
        ("10 giorni", 10 / 365.25),
        ("11 anos", 11),
        ("58 y.o.", 58),
    ],
)
def test_ages_in_several_languages(raw: str, years: float):
    assert age_of(raw) == pytest.approx(years)
    assert is_understood("age", raw)


@pytest.mark.parametrize("raw", ["adult", "02-Jan", "411", "5 parsecs", "9-0", "-3", "1 2"])
def test_ages_that_are_not_understood_are_not_missing(raw: str):
    assert not is_understood("age", raw)
    assert age_of(raw) != age_of(raw)


@pytest.mark.parametrize("raw", ["", "n/a", "Missing", "unbekannt", "nan", " - ", "UNKNOWN", "?"])
def test_a_cell_that_states_nothing(raw: str):
    assert all(is_understood(field, raw) for field in ("age", "sex", "offset"))
    assert (sex_of(raw), view_of(raw)) == ("", "")


@pytest.mark.parametrize(
    ("raw", "sex"),
    [
        *((raw, "F") for raw in ("Mujer", "Femme", "weiblich", "F", "female", "Donna", "W")),
        *((raw, "M") for raw in ("Hombre", "männlich", "Varón", "m", "MALE", "homme", "uomo")),
        *((raw, "") for raw in ("Missing", "U", "O", "divers")),
    ],
)
def test_sexes_in_several_languages(raw: str, sex: str):
    assert sex_of(raw) == sex
    assert is_understood("sex", raw)


@pytest.mark.parametrize("raw", ["0", "1", "H", "Monday"])
def test_sexes_that_are_not_understood(raw: str):
    assert sex_of(raw) == ""
    assert not is_understood("sex", raw)


@pytest.mark.parametrize(
    ("raw", "view"),
    [
        *((raw, "PA") for raw in ("PA view", "Postero-anterior", "Posteroanterior", "P.A.")),
        *((raw, "PA") for raw in ("postéro-antérieure", "Frontal PA", "chest PA erect")),
        *((raw, "AP") for raw in ("AP portable", "Antero posterior", "anteroposteriore", "A/P")),
        *((raw, "AP Supine") for raw in ("AP supine", "AP_SUPINE", "supine", "a.p. liegend")),
        *((raw, "") for raw in ("Frontal", "frontal view", "Chest front", "n/a")),
        *((raw, "L") for raw in ("Lateral left", "LL", "lateral", "profil gauche", "left lateral")),
        ("axial", "Axial"),
        ("LLO", "LLO"),
    ],
)
def test_views_in_several_languages(raw: str, view: str):
    assert view_of(raw) == view
    assert is_view_understood(view)


@pytest.mark.parametrize("raw", ["left", "view", "swimmer's", "PA and lateral", "PA AP", "3"])
def test_views_that_are_not_understood_stay_as_they_are(raw: str):
    assert view_of(raw) == raw
    assert not is_view_understood(raw)
