"""The summary of a cohort: counts, what is missing, Cramer's V worked out by hand, the warning."""

import doctest
import json
import math

import numpy as np
import pandas as pd
import pytest

from covid_cxr.cohort import schema
from covid_cxr.cohort.summary import confounding, tables
from covid_cxr.cohort.summary.confounding_warnings import (
    ConfoundingWarnings,
    confounding_warnings,
)
from covid_cxr.cohort.summary.strata import strata
from covid_cxr.cohort.summary.summary import shortened, summarise

FILLED = {
    "site": "hospital",
    "raw_finding": "",
    "view": "PA",
    "sex": "M",
    "age": 50.0,
    "width": 1000,
    "height": 1000,
    "license": "CC0",
    "duplicate_group": "",
    "split": "train",
    "exclusion": "",
}


def cohort(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A valid cohort; rows need `source` and `finding`, a patient an image unless they say so."""
    table = pd.DataFrame(
        [
            {
                **FILLED,
                "image_id": f"{row['source']}:{number:04d}",
                "path": f"{number}.png",
                "patient_id": f"{row['source']}:p{number}",
                "sha256": f"{number:064x}",
                **row,
            }
            for number, row in enumerate(rows)
        ]
    )[list(schema.COLUMNS)]
    table = table.astype({"age": "float64"})
    schema.validate(table)
    return table


def many(count: int, source: str, finding: str, **cells: object) -> list[dict[str, object]]:
    return [{"source": source, "finding": finding, **cells} for _ in range(count)]


def line(found: pd.DataFrame, column: str) -> pd.Series:
    return found.set_index("column").loc[column]


def test_doctests():
    for module in (confounding, tables):
        assert doctest.testmod(module) == (0, 1)  # failed, attempted


class TestStrength:
    @pytest.mark.parametrize(
        ("v", "word"),
        [
            (0.0, "little"),
            (0.099, "little"),
            (0.1, "some"),
            (0.3, "strong"),
            (0.5, "strong"),
            (0.51, "very strong"),
            (math.nan, ""),
        ],
    )
    def test_words(self, v, word):
        assert confounding.strength(v) == word


class TestLevels:
    def test_bands_and_shapes_by_hand(self):
        ages = [17.9, 18, 39.5, 40, 79, 80, math.nan]
        sizes = [(300, 383), (384, 384), (400, 511), (1023, 512), (1024, 900), (4000, 3000)]
        rows = [
            {"source": "a", "finding": "normal", "age": age, "width": width, "height": height}
            for age, (width, height) in zip(ages, [*sizes, (2047, 2047)], strict=True)
        ]
        found = strata(cohort(rows))
        bands = ["<18", "18-39", "18-39", "40-59", "60-79", "80+", "not stated"]
        assert list(found["age band"]) == bands
        # 300/383 = 0.78, 1, 400/511 = 0.78, 2.0, 1.14, 1.33, 1
        shapes = ["<0.8", "0.95-1.05", "<0.8", "1.25+", "1.05-1.25", "1.25+", "0.95-1.05"]
        assert list(found["aspect ratio"]) == shapes
        sides = ["<384", "384-511", "384-511", "512-1023", "1024-2047", "2048+", "1024-2047"]
        assert list(found["longer side"]) == sides

    def test_an_empty_cell_is_a_level_and_a_site_that_is_the_source_is_not_stated(self):
        rows = [*many(1, "a", "normal", view="", sex="", site="a"), *many(1, "a", "normal")]
        found = strata(cohort(rows))
        for column in ("view", "sex", "site"):
            assert found[column].iloc[0] == "not stated"
            assert found[column].cat.categories[-1] == "not stated"
        assert list(found["site"]) == ["not stated", "hospital"]


def mixed() -> pd.DataFrame:
    left_out = {"split": "excluded", "exclusion": "lateral view"}
    rows = [
        *many(6, "mila", "covid-19", site="", age=math.nan),
        *many(2, "mila", "normal", view="", split="test"),
        *many(4, "nih", "normal", license=""),
        *many(3, "nih", "pneumonia", view="AP", sex="", age=math.nan),
        *many(1, "nih", "normal", **left_out),
        *many(2, "mila", "covid-19", **left_out),
        *many(1, "mila", "", split="excluded", exclusion="unreadable: is empty (0 bytes)"),
        *many(1, "mila", "", split="excluded", exclusion="unreadable: is no image"),
        *many(1, "mila", "covid-19", split="excluded", exclusion="duplicate of mila:0000"),
    ]
    for row in rows[:6]:
        row["site"] = "mila"
    rows[0]["patient_id"] = rows[1]["patient_id"] = "mila:twice"
    rows[0]["duplicate_group"] = rows[-1]["duplicate_group"] = "g1"
    rows[5]["duplicate_group"] = rows[14]["duplicate_group"] = "g2"
    return cohort(rows)


class TestSummary:
    def test_counts(self):
        found = summarise(mixed())
        assert (found.images, found.patients, found.excluded, found.groups) == (15, 14, 6, 2)
        rows = found.by_source.set_index(["source", "finding"])
        assert rows.loc[("mila", "covid-19")].tolist() == [6, 0, 0, 0, 6]
        assert rows.loc[("mila", "normal")].tolist() == [0, 0, 2, 0, 2]
        by_view = found.counts["view"].set_index("view")
        assert by_view.loc["PA"].tolist() == [4, 0, 6, 10]  # normal, pneumonia, covid-19, total
        assert by_view.loc["AP"].tolist() == [0, 3, 0, 3]
        assert by_view.loc["not stated"].tolist() == [2, 0, 0, 2]
        assert found.counts["sex"].set_index("sex")["total"].to_dict() == {"M": 12, "not stated": 3}
        by_age = found.counts["age band"].set_index("age band")["total"]
        assert by_age.to_dict() == {"40-59": 6, "not stated": 9}
        by_site = found.counts["site"].set_index("site")["covid-19"]
        assert by_site.to_dict() == {"hospital": 0, "not stated": 6}

    def test_what_is_missing_by_source(self):
        found = summarise(mixed()).missing.set_index("source")
        # mila has 8 included rows: 2 without view, 6 without age and site. nih has 7.
        assert found.loc["mila"].tolist() == [8, 2 / 8, 0, 6 / 8, 6 / 8, 0]
        assert found.loc["nih"].tolist() == pytest.approx([7, 0, 3 / 7, 3 / 7, 0, 4 / 7])
        assert found.loc["all"].tolist() == pytest.approx([15, 2 / 15, 0.2, 0.6, 0.4, 4 / 15])

    def test_reasons_that_name_an_image_are_counted_together(self):
        rows = summarise(mixed()).reasons.to_numpy().tolist()
        assert rows == [
            ["lateral view", "mila", 2],
            ["lateral view", "nih", 1],
            ["unreadable file", "mila", 2],
            ["duplicate of an image that is kept", "mila", 1],
        ]

    def test_which_sources_share_groups(self):
        found = summarise(mixed()).overlap
        assert found[["source", "other", "groups"]].to_numpy().tolist() == [
            ["mila", "mila", 1],
            ["mila", "nih", 1],
        ]

    def test_whether_a_column_is_stated_is_a_predictor_of_its_own(self):
        found = summarise(mixed()).confounding
        columns = ["source", "site", "view", "sex", "age band", "aspect ratio", "longer side"]
        stated = ["site stated", "view stated", "sex stated", "age band stated"]
        assert list(found["column"]) == columns + stated
        assert line(found, "sex")["n_levels"] == line(found, "sex stated")["n_levels"] == 2
        always = summarise(cohort([*many(5, "a", "normal"), *many(5, "a", "covid-19")])).confounding
        assert list(always["column"]) == columns

    def test_a_shape_that_differs_by_finding_shows(self):
        rows = [*many(30, "a", "normal", width=1000), *many(30, "a", "covid-19", width=1600)]
        found = summarise(cohort(rows)).confounding
        for column in ("aspect ratio",):
            assert line(found, column)["cramers_v"] == pytest.approx(1)
            assert line(found, column)["auroc"] == 1
        assert math.isnan(line(found, "source")["cramers_v"])

    def test_neither_the_order_of_rows_nor_excluded_ones_change_it(self):
        table = mixed()
        shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
        assert summarise(shuffled).record() == summarise(table).record()
        kept = table[table["split"] != "excluded"].reset_index(drop=True)
        pd.testing.assert_frame_equal(summarise(kept).confounding, summarise(table).confounding)

    def test_is_json_and_says_what_it_is_not(self):
        record = summarise(mixed()).record()
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert "Not a medical device" in record["disclaimer"]
        assert record["tables"]["overlap"][0]["groups"] == 1
        assert record["tables"]["missing"][0]["view"] == 0.25

    def test_the_many_sites_shortened(self):
        counts = pd.DataFrame({"site": list("abcde"), "covid-19": [1, 0, 2, 1, 0]})
        counts["total"] = [5, 9, 2, 7, 1]
        assert shortened(counts, 2).to_numpy().tolist() == [
            ["b", 0, 9],
            ["d", 1, 7],
            ["3 others", 3, 8],
        ]
        assert list(shortened(counts, 4)["site"]) == list("bdace")

    def test_a_cohort_of_nothing_has_a_summary(self):
        found = summarise(cohort(many(2, "a", "normal", split="excluded", exclusion="view L")))
        assert found.images == 0
        assert found.warnings.sentences == (
            "No image is included, so there is nothing to predict.",
        )
        assert [table.title for table in tables.text_tables(found)] == [
            "Left out",
            "What predicts the finding without a picture",
        ]
        json.dumps(found.record(), allow_nan=False)

    @pytest.mark.slow
    def test_a_hundred_thousand_rows_in_seconds(self):
        import time

        rng = np.random.default_rng(0)
        n = 100_000
        sources = rng.choice(["a", "b", "c"], n)
        table = pd.DataFrame(
            {
                **{name: [value] * n for name, value in FILLED.items()},
                "image_id": [f"x:{number}" for number in range(n)],
                "path": [f"{number}.png" for number in range(n)],
                "source": sources,
                "site": [f"h{number}" for number in rng.integers(3000, size=n)],
                "patient_id": [f"x:p{number}" for number in rng.integers(40_000, size=n)],
                "finding": rng.choice(["normal", "pneumonia", "covid-19"], n),
                "sha256": [f"{number:064x}" for number in range(n)],
                "duplicate_group": [f"g{number}" if number % 5 == 0 else "" for number in range(n)],
            }
        )
        start = time.process_time()
        found = summarise(table)
        assert time.process_time() - start < 20
        assert line(found.confounding, "site")["cramers_v"] < 0.1


def table_of(**lines: tuple[float, float]) -> pd.DataFrame:
    """A confounding table from column -> (Cramer's V, AUROC); "_" stands for a space."""
    rows = [
        (name.replace("_", " "), 3, v, v, v, confounding.strength(v), area)
        for name, (v, area) in lines.items()
    ]
    names = ["column", "n_levels", "cramers_v", "low", "high", "strength", "auroc"]
    return pd.DataFrame(rows, columns=names)


def by_source(**counts: tuple[int, int, int]) -> pd.DataFrame:
    """Images a source from source -> (normal, pneumonia, covid-19)."""
    table = pd.DataFrame(counts, index=["normal", "pneumonia", "covid-19"]).T
    return table.assign(total=table.sum(axis=1))


BOTH = by_source(mila=(10, 10, 10), figure1=(10, 10, 10))


class TestWarning:
    def test_the_worst_case(self):
        found = confounding_warnings(
            table_of(source=(0.87, 0.953), view=(0.35, 0.71), sex=(0.05, 0.5)),
            by_source(mila=(5, 5, 90), nih=(100, 100, 0), covidcxnet=(0, 0, 300)),
        )
        assert found.warns
        assert found.sentences[:3] == (
            "Source alone tells COVID-19 from the rest with AUROC 0.95 (Cramer's V 0.87, very "
            "strong): a model can score well without reading lungs.",
            "nih holds no covid-19; covidcxnet holds nothing else.",
            "View alone tells COVID-19 too: AUROC 0.71 (Cramer's V 0.35, strong).",
        )
        assert "inside one source" in found.sentences[3]
        assert "Sex" not in " ".join(found.sentences)

    def test_nothing_to_warn_of(self):
        found = confounding_warnings(table_of(source=(0.04, 0.52), view=(0.2, 0.55)), BOTH)
        assert not found.warns
        assert found.sentences == (
            "Source alone says little about the finding: AUROC 0.52 (Cramer's V 0.04, little).",
            "View alone says something about the finding: AUROC 0.55 (Cramer's V 0.20, some).",
        )

    @pytest.mark.parametrize(
        ("v", "area", "words"),
        [
            (0.29, 0.59, "says something about the finding"),
            (0.3, 0.59, "tells other findings apart rather than COVID-19"),
            (0.29, 0.6, "a model can gain without"),
            (0.29, 0.69, "a model can gain without"),
            (0.29, 0.7, "a model can score well without"),
            (math.nan, math.nan, "too few levels or images"),
            (math.nan, 0.8, "with AUROC 0.80: a model can score well"),
            (0.4, math.nan, "AUROC not defined (Cramer's V 0.40, strong)"),
        ],
    )
    def test_the_words_follow_the_numbers(self, v, area, words):
        found = confounding_warnings(table_of(source=(v, area), view=(0.0, 0.5)), BOTH)
        assert words in found.sentences[0]
        assert found.warns == (v >= 0.3 or area >= 0.6)

    def test_what_is_not_stated_is_named_as_such(self):
        found = confounding_warnings(table_of(source=(0.0, 0.5), view_stated=(0.6, 0.8)), BOTH)
        assert found.warns
        assert found.sentences[1] == (
            "Whether the view is stated tells COVID-19 from the rest with AUROC 0.80 "
            "(Cramer's V 0.60, very strong): a model can score well without reading lungs."
        )

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            ({"a": (1, 1, 1), "b": (0, 0, 2)}, "b holds nothing but covid-19."),
            ({"a": (1, 1, 1), "b": (2, 0, 0), "c": (0, 1, 0)}, "b, c hold no covid-19."),
            ({"a": (1, 1, 0), "b": (0, 0, 2)}, "a holds no covid-19; b holds nothing else."),
        ],
    )
    def test_sources_of_one_class_are_named(self, counts, words):
        found = confounding_warnings(table_of(source=(0.0, 0.5)), by_source(**counts))
        assert found.sentences[1] == words

    def test_one_source_or_one_finding_is_no_comparison(self):
        one = confounding_warnings(table_of(source=(math.nan, 0.5)), by_source(mila=(1, 1, 1)))
        assert one.warns
        assert one.sentences == (
            "All images come from mila; nothing here shows how a model does elsewhere.",
        )
        same = confounding_warnings(
            table_of(source=(math.nan, math.nan)), by_source(a=(0, 0, 4), b=(0, 0, 5))
        )
        assert same == ConfoundingWarnings(
            True, ("Every image is covid-19, so there is nothing to tell apart.",)
        )

    def test_a_confounded_cohort_warns_and_an_even_one_does_not(self):
        rng = np.random.default_rng(0)
        findings = rng.choice(["normal", "pneumonia", "covid-19"], 400)
        confounded = [
            {"source": "one" if finding == "covid-19" else "two", "finding": finding}
            for finding in findings
        ]
        even = [
            {"source": source, "finding": finding}
            for source, finding in zip(rng.choice(["one", "two"], 400), findings, strict=True)
        ]
        for row in [*confounded, *even]:  # splits that lack nothing
            row["split"] = str(rng.choice(["train", "val", "test"]))
        assert summarise(cohort(confounded)).warnings.sentences[:2] == (
            "Source alone tells COVID-19 from the rest with AUROC 1.00 (Cramer's V 1.00, very "
            "strong): a model can score well without reading lungs.",
            "two holds no covid-19; one holds nothing else.",
        )
        assert not summarise(cohort(even)).warnings.warns


class TestShown:
    def test_tables_are_narrow_and_say_what_they_are(self):
        displayed = tables.text_tables(summarise(mixed()))
        assert len(displayed) == 6
        for table in displayed:
            assert {len(row) for row in table.rows} == {len(table.columns)}
            widths = [
                max(map(len, cells)) for cells in zip(table.columns, *table.rows, strict=True)
            ]
            assert sum(widths) + 2 * len(widths) <= 80
        by_source, *_, predictors = displayed
        assert by_source.rows[-1] == ("all", "", "13", "0", "2", "0", "15")
        assert [row[0] for row in by_source.rows] == ["mila", "", "nih", "", "all"]
        assert "Bergsma 2013" in predictors.note

    def test_names_from_the_data_cannot_break_a_line(self):
        rows = [*many(2, "a\nb", "normal", site="x\x1b[31m"), *many(2, "c", "covid-19")]
        cells = [
            cell
            for table in tables.text_tables(summarise(cohort(rows)))
            for row in table.rows
            for cell in row
        ]
        assert "a\\nb" in cells and "x\\x1b[31m" in cells

    def test_many_reasons_end_in_others(self):
        rows = [
            *many(1, "a", "normal"),
            *(
                {"source": "a", "finding": "", "split": "excluded", "exclusion": f"modality {kind}"}
                for kind in "abcdefghijklmnopqrst"
            ),
        ]
        by_title = {table.title: table for table in tables.text_tables(summarise(cohort(rows)))}
        assert len(by_title["Left out"].rows) == 16
        assert by_title["Left out"].rows[-1] == ("5 others", "", "5")
