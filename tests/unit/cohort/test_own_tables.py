"""What a table that went through a spreadsheet or another system does to a cohort."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr import cli
from covid_cxr.cohort import schema
from covid_cxr.cohort.build import CohortResult, build, read_flags, write
from covid_cxr.cohort.notes import notes
from covid_cxr.cohort.patient_ids import spelling_warnings
from covid_cxr.cohort.summary.summary import summarise
from covid_cxr.cohort.summary.tables import text_tables
from covid_cxr.config import CohortConfig, DatasetConfig, FilterConfig
from covid_cxr.errors import CohortError
from support.dicom_objects import dataset_of, encode

HEAD = "path,patient_id,finding,view,sex,age"


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, (40, 36), dtype=np.uint8)
    Image.fromarray(grey).save(path)


def built(root: Path, *rows: str, head: str = HEAD, **filters: Any) -> CohortResult:
    """Build the cohort of a manifest; images are those that lie there."""
    (root / "manifest.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    datasets = {"own": DatasetConfig(adapter="csv", path=".")}
    return build(root, CohortConfig(datasets=datasets, filters=FilterConfig(**filters)), seed=1)


def warned(result: CohortResult) -> list[str]:
    return [line for line in notes(result) if line.startswith("Warning: own")]


@pytest.fixture
def six(tmp_path: Path) -> Path:
    for number in range(6):
        picture(tmp_path / f"{number}.png", number)
    return tmp_path


# Blank images and flags of reading.


def test_images_of_one_grey_value_are_left_out_with_a_reason(six: Path):
    Image.new("L", (40, 36), 128).save(six / "1.png")
    Image.new("L", (40, 36), 0).save(six / "2.png")
    rows = [f"{number}.png,{number},normal,PA,," for number in range(6)]
    result = built(six, *rows)
    why = result.cohort["exclusion"].tolist()
    assert why == ["", *["blank: one grey value all over"] * 2, "", "", ""]
    removed = result.attrition.set_index("rule")["removed"]
    assert (removed["file"], removed["duplicates"]) == (2, 0)  # blank ones are no copies
    assert result.cohort["duplicate_group"].eq("").all()
    assert "2 rows excluded: file 2" in notes(result)


def test_flags_of_reading_are_counted_by_source(
    six: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    values = np.arange(40 * 36).reshape(40, 36).astype(np.uint16)
    raw = dataset_of(values, Modality="DX", PresentationIntentType="FOR PROCESSING")
    (six / "0.dcm").write_bytes(encode(raw))
    (six / "1.dcm").write_bytes(encode(raw))  # a copy of it, so left out
    rows = ["0.dcm,0,normal,PA,,", "1.dcm,1,normal,PA,,", "2.png,2,covid-19,PA,,"]
    result = built(six, *rows)
    flag = next(flag for flag in result.flags["flag"] if flag.startswith("for processing"))
    counts = result.flags.set_index("flag").loc[flag]
    assert (counts["source"], counts["images"], counts["included"]) == ("own", 2, 1)
    assert f"own: 2 images read with the flag '{flag}', 1 of them included" in notes(result)
    write(result, tmp_path / "out")
    file = tmp_path / "out" / "cohort.csv"
    pd.testing.assert_frame_equal(read_flags(file), result.flags)
    tables = text_tables(summarise(result.cohort, flags=read_flags(file)))
    (displayed,) = (table for table in tables if table.title == "What reading the files flagged")
    assert ("own", flag, "2", "1") in displayed.rows
    assert cli.run(["cohort", "show", str(file)]) == 0
    assert "for processing" in capsys.readouterr().out
    assert read_flags(tmp_path / "elsewhere" / "cohort.csv").empty


# Patients.


@pytest.mark.parametrize(
    "spellings",
    [
        ("7", "00007"),
        ("7", "7.0"),
        ("ab1", "AB1"),
        ("7", "7\u200b"),
        ("Mu\u0308ller", "M\u00fcller"),
        ("A 12", "A12"),
    ],
)
def test_two_spellings_of_one_id_are_a_warning(six: Path, spellings: tuple[str, str]):
    first, second = spellings
    rows = [f"0.png,{first},normal,PA,,", f"1.png,{second},covid-19,PA,,", "2.png,99,normal,PA,,"]
    result = built(six, *rows)
    (line,) = spelling_warnings(result.cohort)
    assert line.startswith("own may write a patient in several ways")
    assert f"'{first}'" in line and ("\\u200b" in line) == ("\u200b" in second)
    assert f"Warning: {line}" in notes(result)
    assert line in summarise(result.cohort).warnings.sentences
    assert result.cohort["patient_id"].nunique() == 3  # nobody is merged


def test_other_ids_are_no_spellings_of_one(six: Path):
    ids = ["7", "70", "A7", "7b", "0070a", "COVID-7"]
    result = built(six, *(f"{n}.png,{patient},normal,PA,," for n, patient in enumerate(ids)))
    assert spelling_warnings(result.cohort) == []


@pytest.mark.parametrize("patient", ["N/A", "nan", "None", "unknown", "-", ".", ""])
def test_an_id_that_names_nobody_is_an_error_with_its_line(six: Path, patient: str):
    with pytest.raises(CohortError, match=r"line 3 lacks path or patient_id: '1\.png'"):
        built(six, "0.png,1,normal,PA,,", f"1.png,{patient},normal,PA,,")


@pytest.mark.parametrize("patient", ["1.02E+11", "1,02E+11", "1e+15"])
def test_an_id_that_a_spreadsheet_shortened_is_an_error(six: Path, patient: str):
    with pytest.raises(CohortError, match=r"line 3 has '1.*E?e?\+1\d' as patient_id.*as text"):
        built(six, "0.png,1,normal,PA,,", f'1.png,"{patient}",normal,PA,,')


MILA = "patientid,offset,sex,age,finding,view,modality,folder,filename,url,license"


def mila(root: Path, *rows: str, head: str = MILA) -> Path:
    folder = root / "mila"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    return folder


def test_placeholders_of_a_public_table_do_not_join_strangers(tmp_path: Path, caplog: Any):
    rows = [
        f"{patient},,,,COVID-19,PA,X-ray,images,{n}.png,," for n, patient in enumerate(["N/A"] * 2)
    ]
    folder = mila(tmp_path, *rows)
    for number in range(2):
        picture(folder / "images" / f"{number}.png", number)
    with caplog.at_level(logging.WARNING):
        cohort = build(tmp_path, CohortConfig(), seed=1).cohort
    assert cohort["patient_id"].tolist() == ["mila:file-0.png", "mila:file-1.png"]
    assert (
        "patientid that name nobody: 'N/A' (2); each such image is taken as a patient of its"
        in (caplog.text)
    )


# Cells.


def test_cells_that_are_not_understood_are_counted_and_said(six: Path):
    rows = [
        "0.png,0,normal,PA view,Mujer,5 years",  # a child
        "1.png,1,normal,Postero-anterior,Missing,adult",
        "2.png,2,normal,Frontal,1,adult",
        "3.png,3,normal,swimmer,F,60s",
        "4.png,4,normal,swimmer,,",
    ]
    result = built(six, *rows)
    cohort = result.cohort
    assert cohort["sex"].tolist() == ["F", "", "", "F", ""]
    assert cohort["view"].tolist() == ["PA", "PA", "", "swimmer", "swimmer"]
    why = ["younger than 18 years", "", "", "view swimmer", "view swimmer"]
    assert cohort["exclusion"].tolist() == why
    assert result.unread.to_numpy().tolist() == [
        ["own", "age", "adult", 2],
        ["own", "sex", "1", 1],
        ["own", "view", "swimmer", 2],
    ]
    age, sex, view = warned(result)
    assert "'adult' (2)" in age and "children may be among them" in age
    assert "'1' (1)" in sex
    assert "'swimmer' (2)" in view and "cohort.filters.views" in view


def test_frontal_counts_as_a_view_that_is_not_stated(six: Path, caplog: Any):
    rows = ["0.png,0,normal,Frontal,,", "1.png,1,normal,PA,,"]
    assert built(six, *rows).cohort["exclusion"].tolist() == ["", ""]
    result = built(six, *rows, views=("PA",))
    assert result.cohort["exclusion"].tolist() == ["view not stated", ""]
    assert "1 rows excluded: view (cohort.filters.views) 1" in notes(result)


# Names of files.


@pytest.mark.parametrize(
    ("stated", "file"),
    [
        ("images\\1.png", "images/1.png"),
        ("C:\\Data\\export\\images\\1.png", "images/1.png"),
        ("/mnt/elsewhere/images/1.png", "images/1.png"),
        ("images/1", "images/1.png"),
        ("IMAGES/1.PNG", "images/1.png"),
        ("images/caf\u00e9.png", "images/cafe\u0301.png"),
        ("./images/ 1.png ", "images/1.png"),
    ],
)
def test_a_name_with_one_meaning_is_understood(tmp_path: Path, stated: str, file: str):
    for number, name in enumerate((file, "images/2.png", "other/12.png")):
        picture(tmp_path / name, number)
    result = built(tmp_path, f"{stated},1,normal,PA,,", "images/2.png,2,normal,PA,,")
    assert result.cohort["exclusion"].tolist() == ["", ""]
    assert result.cohort["path"].tolist() == [file, "images/2.png"]


@pytest.mark.parametrize("folder", ["", "\\\\server\\share\\", "D:\\"])
def test_names_alone_count_where_no_folder_agrees(tmp_path: Path, folder: str):
    for number in (1, 2):
        picture(tmp_path / "images" / f"{number}.png", number)
    rows = [f"{folder}{number}.PNG,{number},normal,PA,," for number in (1, 2)]
    assert built(tmp_path, *rows).cohort["path"].tolist() == ["images/1.png", "images/2.png"]


@pytest.mark.parametrize("folder", ["images/", "C:\\export\\images\\"])
def test_a_mask_of_the_same_name_is_not_the_image(tmp_path: Path, folder: str):
    picture(tmp_path / "images" / "2.png", 2)
    for number in (1, 2):
        picture(tmp_path / "masks" / f"{number}.png", 10 + number)
    rows = [f"{folder}{number}.png,{number},normal,PA,," for number in (1, 2)]
    assert built(tmp_path, *rows).cohort["exclusion"].tolist() == ["file missing", ""]
    (tmp_path / "images" / "2.png").unlink()
    if folder == "images/":
        with pytest.raises(CohortError, match="file missing"):
            built(tmp_path, *rows)


def test_a_name_with_two_meanings_stays_missing(tmp_path: Path, caplog: Any):
    for number, name in enumerate(("a/1.png", "b/1.png", "2.png", "3.png")):
        picture(tmp_path / name, number)
    rows = ["1.png,1,normal,PA,,", "2.png,2,normal,PA,,", "2,3,normal,PA,,", "3,4,normal,PA,,"]
    rows += ["3.PNG,5,normal,PA,,"]
    with caplog.at_level(logging.WARNING):
        result = built(tmp_path, *rows)
    # 1.png lies twice; 2 would be another row's file; 3 and 3.PNG would be one file for two rows.
    why = result.cohort["exclusion"].tolist()
    assert why == ["file missing", "", *["file missing"] * 3]
    assert f"4 files that it names are missing, such as '{tmp_path / '1.png'}'" in caplog.text


def test_zeros_lost_in_a_table_are_said_with_a_value_of_either_side(tmp_path: Path, caplog: Any):
    for number in (12, 13):
        picture(tmp_path / f"{number:05d}.png", number)
    rows = ["12.png,1,normal,PA,,", "13.png,2,normal,PA,,"]
    with caplog.at_level(logging.WARNING), pytest.raises(CohortError, match=r"such as '12\.png'"):
        built(tmp_path, *rows)
    assert "12.png'; there is '00012.png': were leading zeros lost" in caplog.text


# Layouts.


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (MILA.replace(",filename", ""), "lacks filename; it has "),
        ("patientid offset sex", "lacks patientid, offset, "),
    ],
)
def test_a_set_that_is_not_understood_is_an_error_beside_another(
    tmp_path: Path, head: str, message: str
):
    picture(tmp_path / "nih" / "No_findings" / "00000001_000.png", 1)
    picture(tmp_path / "nih" / "Pneumonia" / "00000002_000.png", 2)
    mila(tmp_path, "1", head=head)
    with pytest.raises(CohortError, match=r"has files of a data set '.*', but") as error:
        build(tmp_path, CohortConfig(), seed=1)
    assert message in str(error.value) and str(tmp_path / "mila") in str(error.value)
    chosen = CohortConfig(datasets={"nih": DatasetConfig(adapter="nih", path="nih")})
    assert len(build(tmp_path, chosen, seed=1).cohort) == 2


def test_a_set_without_its_folder_of_images_is_an_error(tmp_path: Path):
    mila(tmp_path, "1,,,,COVID-19,PA,X-ray,images,1.png,,").joinpath("images").rmdir()
    with pytest.raises(CohortError, match=r"no folder 'images' beside 'metadata\.csv'"):
        build(tmp_path, CohortConfig(), seed=1)


def test_a_semicolon_table_of_a_public_set_is_recognised(tmp_path: Path):
    row = "1,,Mujer,44,COVID-19,PA,X-ray,images,1.PNG,,".replace(",", ";")
    folder = mila(tmp_path, row, head=MILA.replace(",", ";").replace("sex", " Sex "))
    picture(folder / "images" / "1.png", 1)
    row = build(tmp_path, CohortConfig(), seed=1).cohort.iloc[0]
    assert (row["sex"], row["age"], row["path"]) == ("F", 44, "mila/images/1.png")


# Rows and findings.


def test_repeated_rows_are_passed_over_and_differing_ones_an_error(six: Path, caplog: Any):
    rows = ["0.png,0,normal,PA,,", "1.png,1,covid-19,PA,,", "0.png,0,normal,PA,,"]
    with caplog.at_level(logging.WARNING):
        assert built(six, *rows).cohort["image_id"].tolist() == ["own:0.png", "own:1.png"]
    assert "1 rows repeat another in all that is read" in caplog.text
    with pytest.raises(CohortError, match=r"'own:0\.png' occurs twice"):
        built(six, *rows, "0.png,0,covid-19,PA,,")


def test_a_cohort_of_one_finding_is_a_warning(six: Path):
    one = [f"{number}.png,{number},normal,PA,," for number in range(6)]
    assert "Warning: every image is normal: nothing" in "\n".join(notes(built(six, *one)))
    two = [*one[:5], "5.png,5,covid-19,PA,,"]
    assert "every image is" not in "\n".join(notes(built(six, *two)))


# The check.


def test_check_compares_every_file_with_the_cohort(
    six: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [f"{n}.png,{'007' if n else '7'},normal,PA,," for n in range(3)]
    write(built(six, *rows), tmp_path / "out")
    file = tmp_path / "out" / "cohort.csv"
    splits = schema.read(file)
    splits["split"] = "train"
    schema.save(splits, file)
    check = ["cohort", "check", str(file)]
    assert cli.run([*check, "--data", str(six)]) == 0
    said = capsys.readouterr().out
    assert "Warning: own may write a patient in several ways: '7' and '007'" in said.replace(
        "\n", " "
    )
    assert "unless an id above" in said and "All files below" in said
    (six / "1.png").write_bytes((six / "5.png").read_bytes())
    (six / "2.png").unlink()
    assert cli.run(check) == 0
    assert cli.run([*check, "--data", str(six)]) == 3
    said = capsys.readouterr().out
    assert "image 'own:1.png'" in said and "image 'own:2.png'" in said and "no file now" in said
    assert "image 'own:0.png'" not in said and "All files below" not in said
