"""Where the public data sets come from, how they are cited, and how one gets them."""

from __future__ import annotations

from dataclasses import dataclass

from hilum.errors import DataError, DataMissingError


@dataclass(frozen=True)
class Origin:
    """url: the publisher's page; how: what a person does there; opened: what it is then named"""

    title: str
    url: str
    citation: str
    how: str
    opened: str


ORIGINS = {
    "pneumoniamnist": Origin(
        "PneumoniaMNIST (MedMNIST v2)",
        "https://medmnist.com",
        "Yang J, Shi R, Wei D, et al. MedMNIST v2: a large-scale lightweight benchmark for 2D and "
        "3D biomedical image classification. Scientific Data 10:41, 2023. Films: Kermany DS, "
        "Goldbaum M, Cai W, et al. Identifying medical diagnoses and treatable diseases by "
        "image-based deep learning. Cell 172(5):1122-1131, 2018.",
        "hilum data fetch pneumoniamnist",
        "pneumoniamnist",
    ),
    "nih": Origin(
        "NIH ChestX-ray14",
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: hospital-scale chest "
        "X-ray database and benchmarks on weakly-supervised classification and localization of "
        "common thorax diseases. CVPR 2017.",
        "download the twelve archives of films (about 42 GB) and the tables, and unpack them into "
        "one folder",
        "nih:FOLDER",
    ),
    "rsna": Origin(
        "RSNA Pneumonia Detection Challenge",
        "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
        "Shih G, Wu CC, Halabi SS, et al. Augmenting the National Institutes of Health chest "
        "radiograph dataset with expert annotations of possible pneumonia. Radiology: Artificial "
        "Intelligence 1(1):e180041, 2019.",
        "sign in, accept the rules of the challenge, download stage 2 and unpack it",
        "rsna:FOLDER",
    ),
    "chexpert": Origin(
        "CheXpert",
        "https://stanfordmlgroup.github.io/competitions/chexpert/",
        "Irvin J, Rajpurkar P, Ko M, et al. CheXpert: a large chest radiograph dataset with "
        "uncertainty labels and expert comparison. AAAI 2019.",
        "register, accept the research use agreement, and download it",
        "chexpert:FOLDER",
    ),
}


def origin_of(source: str) -> Origin | None:
    """Of a cohort's name, such as `nih` or `pneumoniamnist@64`; None for anybody's own films."""
    return ORIGINS.get(source.partition("@")[0].partition(":")[0])


def refuse_to_fetch(name: str) -> None:
    """Raise DataMissingError, which says how a person gets the data set; DataError for no name."""
    origin = ORIGINS.get(name.partition(":")[0])
    if origin is None:
        raise DataError(
            name,
            "no public data set of this name",
            expected=f"pneumoniamnist[@SIZE]; of {', '.join(list(ORIGINS)[1:])} it tells the way",
        )
    raise DataMissingError(
        name,
        f"{origin.title} is not for programs to fetch",
        remedy=f"at {origin.url} {origin.how}; then name it as {origin.opened}",
    )
