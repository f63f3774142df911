"""Sources: how what a validation adds is computed, in a sentence each, and who proposed it."""

from __future__ import annotations

METHODS: tuple[tuple[str, str], ...] = (
    (
        "Drop",
        "Outside less inside, of independent films; Newcombe's hybrid interval from each side's "
        "own, which are by patient.",
    ),
    (
        "Summary of sites",
        "Random effects on the logit of AUROC, errors by the delta method; variance between sites "
        "by REML, interval of the mean by Hartung and Knapp, never narrower than without "
        "heterogeneity; prediction interval with Student's t.",
    ),
    (
        "Prior shift",
        "The prevalence under which the probabilities here are likeliest, without a label; "
        "percentiles of patients drawn again.",
    ),
    (
        "What labels bring",
        "k patients are drawn and labelled, all others judge. Among leaving things as deployed, a "
        "shift, a temperature and Platt scaling the one with the least cross-validated log loss "
        "is taken, inside the k; the local point follows the "
        "deployed point's own rule. Intervals draw patients and draws again.",
    ),
    (
        "Two labellings",
        "The same answers on films that have both labels; Cohen's kappa and differences by paired "
        "bootstrap of patients.",
    ),
)
SOURCES: tuple[tuple[str, str | None], ...] = (
    ("Cohen 1960, Educational and Psychological Measurement 20:37", "10.1177/001316446002000104"),
    ("Debray et al. 2017, BMJ 356:i6460", "10.1136/bmj.i6460"),
    ("Efron & Tibshirani 1997, JASA 92:548", "10.1080/01621459.1997.10474007"),
    ("Higgins & Thompson 2002, Statistics in Medicine 21:1539", "10.1002/sim.1186"),
    ("Higgins et al. 2009, JRSS A 172:137", "10.1111/j.1467-985X.2008.00552.x"),
    ("IntHout et al. 2014, BMC Medical Research Methodology 14:25", "10.1186/1471-2288-14-25"),
    ("Newcombe 1998, Statistics in Medicine 17:873", None),
    ("Röver et al. 2015, BMC Medical Research Methodology 15:99", "10.1186/s12874-015-0091-1"),
    ("Saerens et al. 2002, Neural Computation 14:21", "10.1162/089976602753284446"),
    ("Varma & Simon 2006, BMC Bioinformatics 7:91", "10.1186/1471-2105-7-91"),
    ("Vickers & Elkin 2006, Medical Decision Making 26:565", "10.1177/0272989X06295361"),
)
