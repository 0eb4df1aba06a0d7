"""Each built-in adapter, on a tiny data set in its own layout, under the contract."""

from pathlib import Path

import numpy as np
from PIL import Image

from covid_cxr.cohort.contract import DatasetContract
from covid_cxr.config import DatasetConfig

MILA_HEADER = (
    "patientid,offset,sex,age,finding,view,modality,folder,filename,doi,url,license,other_notes,"
)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


class TestMila(DatasetContract):
    options = DatasetConfig(adapter="mila")

    def make(self, root: Path) -> None:
        rows = [
            "2,0,M,65,COVID-19,PA,X-ray,images,a.png,,https://www.nejm.org/doi/1,,,",
            "3,0,,,Pneumonia/Viral/SARS,L,X-ray,images,b.png,,https://radiopaedia.org/2,CC BY,,",
            "4,0,F,50,COVID-19,Axial,CT,volumes,c.nii.gz,,,,,",
        ]
        (root / "metadata.csv").write_text("\n".join([MILA_HEADER, *rows]), encoding="utf-8")
        picture(root / "images" / "a.png", 1)
        picture(root / "images" / "b.png", 2)


class TestFigure1(DatasetContract):
    options = DatasetConfig(adapter="figure1")

    def make(self, root: Path) -> None:
        text = (
            "patientid,offset,sex,age,finding,survival,view,modality,artifacts/distortion,notes\n"
            "COVID-00001,13,M,33,COVID-19,,AP erect,X-ray,,39.1 °C\n"
            "COVID-00003a,8,M,50+,,,AP,X-ray,,\n"
        )
        (root / "metadata.csv").write_text(text, encoding="latin-1")
        picture(root / "images" / "COVID-00001.jpg", 1)
        picture(root / "images" / "COVID-00003a.png", 2)


class TestNihFolders(DatasetContract):
    options = DatasetConfig(adapter="nih")

    def make(self, root: Path) -> None:
        picture(root / "No_findings" / "00001281_000.png", 1)
        picture(root / "Pneumonia" / "00000061_012.png", 2)


class TestNihOfficial(DatasetContract):
    options = DatasetConfig(adapter="nih")

    def make(self, root: Path) -> None:
        text = (
            "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
            "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
            "00000001_000.png,Cardiomegaly,0,1,057Y,M,PA,2682,2749,0.143,0.143,\n"
            "00000002_000.png,No Finding,0,2,058Y,F,AP,2894,2729,0.143,0.143,\n"
            "00000003_001.png,Effusion|Pneumonia,1,3,414Y,M,PA,2500,2048,0.168,0.168,\n"
        )
        (root / "Data_Entry_2017_v2020.csv").write_text(text, encoding="utf-8")
        picture(root / "images_001" / "images" / "00000001_000.png", 1)
        picture(root / "images_002" / "images" / "00000002_000.png", 2)


class TestFolder(DatasetContract):
    options = DatasetConfig(
        adapter="folder", labels={"Covid": "covid-19", "Normal": "normal", "Odd": "excluded: odd"}
    )

    def make(self, root: Path) -> None:
        for number, name in enumerate(("Covid/1.png", "Normal/1.png", "Normal/deep/2.png")):
            picture(root / name, number)


class TestManifest(DatasetContract):
    options = DatasetConfig(adapter="csv", columns={"patient_id": "who"})

    def make(self, root: Path) -> None:
        text = "path,who,finding,age\nx/a.png,0007,normal,40\nx/b.png,8,COVID-19,\n"
        (root / "manifest.csv").write_text(text, encoding="utf-8")
        picture(root / "x" / "a.png", 1)
        picture(root / "x" / "b.png", 2)
