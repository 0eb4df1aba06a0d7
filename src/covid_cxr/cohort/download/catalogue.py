"""Public data sets by name: where each is, how one gets it, what its licence asks, what to cite.

Those kept in git are fetched by `cohort.fetch`. The others want a browser, or an account and a
signature under rules; for them the entry holds the steps, in which `{data}` is the data root.
Licences are those that the sets' own pages state. Sizes are rough, rounded up; they only serve to
refuse a disk that is clearly too small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class DataSet:
    """One set: `how` is "git" or "https" if a program may fetch it, else "steps".

    Attributes:
        where: address of the repository, the file or the page to start from.
        folder: what its folder in the data root is called; adapters recognise what it holds.
        gigabytes: of the download, 0 where nobody knows.
    """

    how: Literal["git", "https", "steps"]
    where: str
    folder: str
    license: str
    cite: str
    gigabytes: float = 0
    note: str = ""
    steps: tuple[str, ...] = field(default=())


_KAGGLE = (
    "Install the official client, pip install kaggle; on Kaggle under Settings, API, create a "
    "token and save it as ~/.kaggle/kaggle.json, readable by you alone (chmod 600)."
)

CATALOGUE: dict[str, DataSet] = {
    "mila": DataSet(
        how="git",
        where="https://github.com/ieee8023/covid-chestxray-dataset",
        folder="covid-chestxray-dataset",
        license="an image's own in metadata.csv (Apache 2.0, CC BY 4.0, CC BY-NC-SA 4.0, ...); "
        "metadata.csv itself CC BY-NC-SA 4.0",
        cite="Cohen et al., COVID-19 image data collection, arXiv 2003.11597 and 2006.11988, 2020",
        gigabytes=0.7,
        note="holds CT volumes too, which a cohort excludes",
    ),
    "figure1": DataSet(
        how="git",
        where="https://github.com/agchung/Figure1-COVID-chestxray-dataset",
        folder="Figure1-COVID-chestxray-dataset",
        license="none stated; its page says for research purposes only",
        cite="Chung, Figure 1 COVID-19 chest X-ray data initiative, 2020",
        gigabytes=0.1,
    ),
    "actualmed": DataSet(
        how="git",
        where="https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
        folder="Actualmed-COVID-chestxray-dataset",
        license="none stated; its page says for research purposes only",
        cite="Chung, Actualmed COVID-19 chest X-ray data initiative, 2020",
        gigabytes=1,
    ),
    "hannover": DataSet(
        how="git",
        where="https://github.com/ml-workgroup/covid-19-image-repository",
        folder="covid-19-image-repository",
        license="CC BY 3.0",
        cite="Winther et al., COVID-19 Image Repository, Hannover Medical School, 2020, "
        "doi 10.6084/m9.figshare.12275009",
        gigabytes=0.5,
        note="all COVID-19, from one hospital",
    ),
    "covid-cxnet": DataSet(
        how="git",
        where="https://github.com/armiro/COVID-CXNet",
        folder="COVID-CXNet",
        license="MIT for the repository; the images are from publications with terms of their own",
        cite="Haghanifar et al., COVID-CXNet, 2020, doi 10.6084/m9.figshare.12580328",
        gigabytes=1,
        note="all COVID-19; many of its images are also in mila",
    ),
    "nih": DataSet(
        how="steps",
        where="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        folder="nih-chestxray14",
        license="unrestricted; link to the download page, cite the paper and name the NIH "
        "Clinical Center as provider",
        cite="Wang et al., ChestX-ray8, CVPR 2017, pp. 3462-3471",
        gigabytes=45,
        steps=(
            "Have 90 GB free: 45 for the archives, 45 for the 112,120 images.",
            "Make the folder {data}/nih-chestxray14.",
            "Open https://nihcc.app.box.com/v/ChestXray-NIHCC in a browser and save "
            "Data_Entry_2017_v2020.csv into that folder.",
            "On the same page open the folder images and save images_001.tar.gz to "
            "images_012.tar.gz into it, or save batch_download_zips.py and run it there with "
            "python.",
            "In that folder run: for f in images_*.tar.gz; do "
            'd="${f%.tar.gz}"; mkdir -p "$d" && tar -xzf "$f" -C "$d"; done',
            "Look: {data}/nih-chestxray14/ now holds Data_Entry_2017_v2020.csv and "
            "images_*/images/*.png. The archives may go.",
        ),
    ),
    "rsna": DataSet(
        how="steps",
        where="https://www.kaggle.com/competitions/rsna-pneumonia-detection-challenge",
        folder="rsna-pneumonia-detection-challenge",
        license="RSNA's terms (any use, with attribution) and the rules of the Kaggle competition",
        cite="Shih et al., Radiology: Artificial Intelligence 2019, 1(1) e180041, and "
        "Wang et al., CVPR 2017",
        gigabytes=4,
        note="its images are a part of nih, so that the two overlap",
        steps=(
            "Have 8 GB free.",
            "Sign in to Kaggle (an account is free) and accept the rules at https://www.kaggle.com"
            "/competitions/rsna-pneumonia-detection-challenge/rules; without that the download "
            "is refused.",
            _KAGGLE,
            "Run: kaggle competitions download -c rsna-pneumonia-detection-challenge -p {data}",
            "Run: unzip -q {data}/rsna-pneumonia-detection-challenge.zip "
            "-d {data}/rsna-pneumonia-detection-challenge",
            "Look: {data}/rsna-pneumonia-detection-challenge/ now holds "
            "stage_2_train_labels.csv, stage_2_detailed_class_info.csv and "
            "stage_2_train_images/*.dcm. The zip may go.",
        ),
    ),
    "kaggle-covid19": DataSet(
        how="steps",
        where="https://www.kaggle.com/datasets/pranavraikokte/covid19-image-dataset",
        folder="Covid19-dataset",
        license="CC BY-SA 4.0 as uploaded; many of its images are from mila, with their own",
        cite="Raikote, COVID-19 Image Dataset, Kaggle, 2020",
        gigabytes=0.2,
        note="paediatric risk: its normal and viral films look like children's, which a model can "
        "learn in place of the disease; out of training by default",
        steps=(
            "Sign in to Kaggle (an account is free).",
            _KAGGLE,
            "Run: kaggle datasets download -d pranavraikokte/covid19-image-dataset "
            "--unzip -p {data}",
            "Look: {data}/Covid19-dataset/ now holds train and test, each with Covid, Normal and "
            "Viral Pneumonia.",
        ),
    ),
}
