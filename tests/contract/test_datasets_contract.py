"""Each built-in adapter, on a tiny data set in its own layout, under the contract."""

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from covid_cxr.config import DatasetConfig
from covid_cxr.testing.datasets import DatasetContract

MILA_HEADER = (
    "patientid,offset,sex,age,finding,view,modality,folder,filename,doi,url,license,other_notes,"
)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def dicom(path: Path, seed: int, **elements: object) -> None:
    """A radiograph of 40 x 36 pixels as a DICOM object."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{seed}"
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, f"1.2.3.{seed}"
    image.Rows, image.Columns, image.SamplesPerPixel, image.PixelRepresentation = 40, 36, 1, 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = np.random.default_rng(seed).bytes(40 * 36)
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path)


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


class TestRsna(DatasetContract):
    options = DatasetConfig(adapter="rsna")

    def make(self, root: Path) -> None:
        boxes = "a,1,2,10,20,1\na,20,2,10,20,1\nb,,,,,0\nc,,,,,0\nd,0,0,5,5,1\n"
        classes = (
            "a,Lung Opacity\na,Lung Opacity\nb,Normal\nc,No Lung Opacity / Not Normal\n"
            "d,Lung Opacity\n"
        )
        names = "patientId,x,y,width,height,Target\n"
        (root / "stage_2_train_labels.csv").write_text(names + boxes)
        (root / "stage_2_detailed_class_info.csv").write_text("patientId,class\n" + classes)
        for number, name in enumerate("abc"):
            dicom(root / "stage_2_train_images" / f"{name}.dcm", number, Modality="CR")


class TestActualmed(DatasetContract):
    options = DatasetConfig(adapter="actualmed")

    def make(self, root: Path) -> None:
        text = (
            "patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,"
            "imagename,artifacts/distortion,notes\n"
            'ANON1,,,,COVID-19,,,,AP,X-ray,CR.1.png,,", date taken (YYYYMMDD): 20200318"\n'
            'ANON2,,,,No finding,,,,PA,X-ray,DX.2.png,,"Negative, date taken: 20200318"\n'
            'ANON2,,,,,,,,PA,X-ray,DX.3.png,,"Inconclusive, date taken: 20200318"\n'
        )
        (root / "metadata.csv").write_text(text, encoding="utf-8")
        for number, name in enumerate(("CR.1", "DX.2", "DX.3")):
            picture(root / "images" / f"{name}.png", number)


class TestHannover(DatasetContract):
    options = DatasetConfig(adapter="hannover")

    def make(self, root: Path) -> None:
        text = (
            "patient_id,image_id,sex,age,size,weight,admission_offset,icu_admission_offset,"
            "icu_release_offset,death_offset,modality,projection,crp_offset,crp_val\n"
            "042f06a9,b343e657,m,,,,0,0.0,4.0,,CR,ap,0.0,5.0\n"
            "042f06a9,c9280a30,m,,,,-2,-2.0,2.0,,CR,ap,0.0,38.0\n"
            "0a359802,61bc50d1,f,,,,10,,,,DX,pa,,\n"
        )
        (root / "data.csv").write_text(text, encoding="utf-8")
        for number, name in enumerate(("b343e657", "c9280a30", "61bc50d1")):
            picture(root / "png" / f"{name}.png", number)


class TestCovidCxnet(DatasetContract):
    options = DatasetConfig(adapter="covid-cxnet")

    def make(self, root: Path) -> None:
        text = (
            "filename,patient_id,sex,age,view,label,pcr_test,survival,location,admission_offset,"
            "symptom_offset,url\n"
            "260.png,10,female,68,,COVID-19,positive,,Spain,,3,https://twitter.com/x/status/1\n"
            "261.png,11,male,0.03,AP,COVID-19,positive,,Spain,1,,https://doi.org/10.1/2\n"
            "262.png,11,male,,AP,,negative,,Austria,4,,\n"
        )
        (root / "metadata.csv").write_text(text, encoding="utf-8")
        for number, name in enumerate(("001", "260", "261", "262")):
            picture(root / "chest_xray_images" / "covid19" / f"{name}.png", number)


class TestKaggle(DatasetContract):
    options = DatasetConfig(adapter="kaggle-covid19")

    def make(self, root: Path) -> None:
        for number, part in enumerate(("train", "test")):
            for step, label in enumerate(("Covid", "Normal", "Viral Pneumonia")):
                picture(root / part / label / "01.png", 10 * number + step)


class TestDicom(DatasetContract):
    options = DatasetConfig(adapter="dicom")

    def make(self, root: Path) -> None:
        labels = "AccessionNumber,finding\nA1,COVID-19\nA2,normal\nA3,pneumonia\n"
        (root / "labels.csv").write_text(labels)
        common = {"Modality": "DX", "InstitutionName": "Ward", "PatientAge": "058Y"}
        for number, (accession, view) in enumerate((("A1", "PA"), ("A1", "LL"), ("A2", "AP"))):
            dicom(
                root / accession / f"{number}",
                number,
                AccessionNumber=accession,
                PatientID=f"0{accession}",
                ViewPosition=view,
                **common,
            )
        (root / "readme.txt").write_text("exported " * 100)
