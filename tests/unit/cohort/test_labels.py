import pytest

from covid_cxr.cohort.labels import (
    AMBIGUOUS,
    EXCLUDED,
    HEADER_UNREADABLE,
    NOT_CHOSEN,
    OTHER,
    REPEATED,
    UNKNOWN,
    finding_of,
    label_table,
    resolve,
)
from covid_cxr.errors import CohortError

GOLDEN = {
    "COVID-19": "covid-19",
    "COVID-19, ARDS": "covid-19",
    "Covid": "covid-19",
    "Pneumonia/Viral/COVID-19": "covid-19",
    "No Finding": "normal",
    "No finding": "normal",
    "No_findings": "normal",
    "Pneumonia": "pneumonia",
    "SARS": "pneumonia",
    "MERS-CoV": "pneumonia",
    "Streptococcus": "pneumonia",
    "Lipoid": "pneumonia",
    "E.Coli": "pneumonia",
    "Pneumonia/Fungal/Pneumocystis": "pneumonia",
    "Pneumonia/Bacterial/Staphylococcus/MRSA": "pneumonia",
    "Pneumonia/Viral/Influenza/H1N1": "pneumonia",
    "Herpes pneumonia, ARDS": "pneumonia",
    "Effusion|Pneumonia": "pneumonia",
    "Effusion|Mass": OTHER,
    "Infiltration": OTHER,
    "Tuberculosis": OTHER,
    "Viral Pneumonia": "pneumonia",
    "Lung Opacity": "pneumonia",
    "No Lung Opacity / Not Normal": OTHER,
    "No Lung Opacity": AMBIGUOUS,
    "Another instance of the study": "excluded: another instance of the study",
    "Unreadable DICOM header": "excluded: unreadable DICOM header",
    "Allergic bronchopulmonary aspergillosis ": OTHER,
    "Cryptogenic Organizing Pneumonia": OTHER,
    "todo": UNKNOWN,
    "Unknown": UNKNOWN,
    "ARDS": UNKNOWN,
    "": UNKNOWN,
    "scoliosis": None,
    "Pneumonia|scoliosis": None,
}


@pytest.mark.parametrize(("raw", "finding"), GOLDEN.items())
def test_raw_label_becomes(raw: str, finding: str | None):
    assert finding_of(raw, {}) == finding


def test_own_table_goes_first():
    assert finding_of("Covid", {"Covid": "covid-19"}) == "covid-19"
    assert finding_of("SARS", {"SARS": "excluded: another virus"}) == "excluded: another virus"


def test_table_has_only_lower_case_keys_and_known_answers():
    assert all(key == key.casefold().strip() for key in label_table())
    answers = {"normal", "pneumonia", "covid-19", UNKNOWN, OTHER, AMBIGUOUS}
    marks = {EXCLUDED + why for why in (NOT_CHOSEN, HEADER_UNREADABLE, REPEATED)}
    assert set(label_table().values()) == answers | marks


def test_labels_in_no_table_are_all_listed_with_counts():
    with pytest.raises(CohortError) as caught:
        resolve(["SARS", "scoliosis", "rib", "rib"], {}, "ward")
    assert "'ward'" in str(caught.value)
    assert "'rib' (2), 'scoliosis' (1)" in str(caught.value)
    assert "under 'labels'" in str(caught.value)


@pytest.mark.parametrize("answer", ["covid", "excluded", "excluded: ", ""])
def test_own_table_with_an_odd_answer_is_an_error(answer: str):
    with pytest.raises(CohortError, match="'excluded: why'"):
        resolve(["A"], {"A": answer}, "ward")
