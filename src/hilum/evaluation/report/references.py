"""References: the literature that the figures rest on, by a short key such as "DeLong 1988".

Which figure rests on which is `methods`' business. A DOI stands here only where it has been seen
in print beside the same title; what has none (proceedings, books) says where it appeared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One source. doi: None where the source has none, or none is known for sure."""

    authors: str
    year: int
    title: str
    where: str
    doi: str | None = None

    @property
    def in_words(self) -> str:
        """`DeLong ER, … Comparing …. Biometrics 1988;44(3):837–845. doi:10.2307/2531595`."""
        text = f"{self.authors}. {self.title}. {self.where}."
        return text if self.doi is None else f"{text} doi:{self.doi}"


REFERENCES: dict[str, Reference] = {
    "Albert 1984": Reference(
        "Albert A, Anderson JA",
        1984,
        "On the existence of maximum likelihood estimates in logistic regression models",
        "Biometrika 1984;71(1):1–10",
        "10.1093/biomet/71.1.1",
    ),
    "Angelopoulos 2023": Reference(
        "Angelopoulos AN, Bates S",
        2023,
        "Conformal prediction: a gentle introduction",
        "Foundations and Trends in Machine Learning 2023;16(4):494–591",
        "10.1561/2200000101",
    ),
    "Austin 2019": Reference(
        "Austin PC, Steyerberg EW",
        2019,
        "The integrated calibration index (ICI) and related metrics for quantifying the "
        "calibration of logistic regression models",
        "Statistics in Medicine 2019;38(21):4051–4065",
        "10.1002/sim.8281",
    ),
    "Bonett 2012": Reference(
        "Bonett DG, Price RM",
        2012,
        "Adjusted Wald confidence interval for a difference of binomial proportions based on "
        "paired data",
        "Journal of Educational and Behavioral Statistics 2012;37:479–488",
    ),
    "Boyd 2013": Reference(
        "Boyd K, Eng KH, Page CD",
        2013,
        "Area under the precision-recall curve: point estimates and confidence intervals",
        "ECML PKDD 2013, LNCS 8190:451–466",
        "10.1007/978-3-642-40994-3_29",
    ),
    "Breiman 1984": Reference(
        "Breiman L, Friedman JH, Olshen RA, Stone CJ",
        1984,
        "Classification and regression trees",
        "Wadsworth 1984, section 3.4.3",
        "10.1201/9781315139470",
    ),
    "Brier 1950": Reference(
        "Brier GW",
        1950,
        "Verification of forecasts expressed in terms of probability",
        "Monthly Weather Review 1950;78(1):1–3",
        "10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    ),
    "Bröcker 2012": Reference(
        "Bröcker J",
        2012,
        "Estimating reliability and resolution of probability forecasts through decomposition of "
        "the empirical score",
        "Climate Dynamics 2012;39:655–667",
        "10.1007/s00382-011-1191-1",
    ),
    "Brodersen 2010": Reference(
        "Brodersen KH, Ong CS, Stephan KE, Buhmann JM",
        2010,
        "The balanced accuracy and its posterior distribution",
        "ICPR 2010:3121–3124",
        "10.1109/ICPR.2010.764",
    ),
    "CLAIM 2024": Reference(
        "Tejani AS, Klontzas ME, Gatti AA, et al",
        2024,
        "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update",
        "Radiology: Artificial Intelligence 2024;6(4):e240300",
        "10.1148/ryai.240300",
    ),
    "Cox 1958": Reference(
        "Cox DR",
        1958,
        "Two further applications of a model for binary regression",
        "Biometrika 1958;45(3/4):562–565",
        "10.1093/biomet/45.3-4.562",
    ),
    "DeLong 1988": Reference(
        "DeLong ER, DeLong DM, Clarke-Pearson DL",
        1988,
        "Comparing the areas under two or more correlated receiver operating characteristic "
        "curves: a nonparametric approach",
        "Biometrics 1988;44(3):837–845",
        "10.2307/2531595",
    ),
    "Efron 1993": Reference(
        "Efron B, Tibshirani RJ",
        1993,
        "An introduction to the bootstrap",
        "Chapman & Hall 1993",
        "10.1201/9780429246593",
    ),
    "Elkan 2001": Reference(
        "Elkan C", 2001, "The foundations of cost-sensitive learning", "IJCAI 2001:973–978"
    ),
    "Fagerland 2013": Reference(
        "Fagerland MW, Lydersen S, Laake P",
        2013,
        "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than "
        "exact conditional",
        "BMC Medical Research Methodology 2013;13:91",
        "10.1186/1471-2288-13-91",
    ),
    "Ferro 2012": Reference(
        "Ferro CAT, Fricker TE",
        2012,
        "A bias-corrected decomposition of the Brier score",
        "Quarterly Journal of the Royal Meteorological Society 2012;138(668):1954–1960",
        "10.1002/qj.1924",
    ),
    "Good 1952": Reference(
        "Good IJ",
        1952,
        "Rational decisions",
        "Journal of the Royal Statistical Society B 1952;14(1):107–114",
        "10.1111/j.2517-6161.1952.tb00104.x",
    ),
    "Guo 2017": Reference(
        "Guo C, Pleiss G, Sun Y, Weinberger KQ",
        2017,
        "On calibration of modern neural networks",
        "ICML 2017, PMLR 70:1321–1330",
    ),
    "Harrell 2015": Reference(
        "Harrell FE",
        2015,
        "Regression modeling strategies, 2nd edition",
        "Springer 2015",
        "10.1007/978-3-319-19425-7",
    ),
    "Hilden 2014": Reference(
        "Hilden J, Gerds TA",
        2014,
        "A note on the evaluation of novel biomarkers: do not rely on integrated discrimination "
        "improvement and net reclassification index",
        "Statistics in Medicine 2014;33(19):3405–3414",
        "10.1002/sim.5804",
    ),
    "Holm 1979": Reference(
        "Holm S",
        1979,
        "A simple sequentially rejective multiple test procedure",
        "Scandinavian Journal of Statistics 1979;6(2):65–70",
    ),
    "Korn 1998": Reference(
        "Korn EL, Graubard BI",
        1998,
        "Confidence intervals for proportions with small expected number of positive counts "
        "estimated from survey data",
        "Survey Methodology 1998;24:193–201",
    ),
    "Kramer 2007": Reference(
        "Kramer AA, Zimmerman JE",
        2007,
        "Assessing the calibration of mortality benchmarks in critical care: the Hosmer-Lemeshow "
        "test revisited",
        "Critical Care Medicine 2007;35(9):2052–2056",
    ),
    "Kull 2017": Reference(
        "Kull M, Silva Filho TM, Flach P",
        2017,
        "Beyond sigmoids: how to obtain well-calibrated probabilities from binary classifiers "
        "with beta calibration",
        "Electronic Journal of Statistics 2017;11(2):5052–5080",
        "10.1214/17-EJS1338SI",
    ),
    "Liang 1986": Reference(
        "Liang KY, Zeger SL",
        1986,
        "Longitudinal data analysis using generalized linear models",
        "Biometrika 1986;73(1):13–22",
        "10.1093/biomet/73.1.13",
    ),
    "Manning 2008": Reference(
        "Manning CD, Raghavan P, Schütze H",
        2008,
        "Introduction to information retrieval",
        "Cambridge University Press 2008, chapter 8",
        "10.1017/CBO9780511809071",
    ),
    "Matthews 1975": Reference(
        "Matthews BW",
        1975,
        "Comparison of the predicted and observed secondary structure of T4 phage lysozyme",
        "Biochimica et Biophysica Acta 1975;405(2):442–451",
        "10.1016/0005-2795(75)90109-9",
    ),
    "McClish 1989": Reference(
        "McClish DK",
        1989,
        "Analyzing a portion of the ROC curve",
        "Medical Decision Making 1989;9(3):190–195",
        "10.1177/0272989X8900900307",
    ),
    "McNemar 1947": Reference(
        "McNemar Q",
        1947,
        "Note on the sampling error of the difference between correlated proportions or "
        "percentages",
        "Psychometrika 1947;12(2):153–157",
        "10.1007/BF02295996",
    ),
    "Mercaldo 2007": Reference(
        "Mercaldo ND, Lau KF, Zhou XH",
        2007,
        "Confidence intervals for predictive values with an emphasis to case-control studies",
        "Statistics in Medicine 2007;26(10):2170–2183",
        "10.1002/sim.2677",
    ),
    "Murphy 1973": Reference(
        "Murphy AH",
        1973,
        "A new vector partition of the probability score",
        "Journal of Applied Meteorology 1973;12(4):595–600",
        "10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2",
    ),
    "Naeini 2015": Reference(
        "Naeini MP, Cooper GF, Hauskrecht M",
        2015,
        "Obtaining well calibrated probabilities using Bayesian binning",
        "AAAI 2015:2901–2907",
        "10.1609/aaai.v29i1.9602",
    ),
    "Newcombe 1998": Reference(
        "Newcombe RG",
        1998,
        "Interval estimation for the difference between independent proportions: comparison of "
        "eleven methods",
        "Statistics in Medicine 1998;17(8):873–890",
        "10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
    ),
    "Newcombe 2006": Reference(
        "Newcombe RG",
        2006,
        "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. "
        "Part 2: asymptotic methods and evaluation",
        "Statistics in Medicine 2006;25(4):559–573",
        "10.1002/sim.2324",
    ),
    "Northcutt 2021": Reference(
        "Northcutt CG, Jiang L, Chuang IL",
        2021,
        "Confident learning: estimating uncertainty in dataset labels",
        "Journal of Artificial Intelligence Research 2021;70:1373–1411",
        "10.1613/jair.1.12125",
    ),
    "Obuchowski 1997": Reference(
        "Obuchowski NA",
        1997,
        "Nonparametric analysis of clustered ROC curve data",
        "Biometrics 1997;53(2):567–578",
        "10.2307/2533958",
    ),
    "Obuchowski 1998": Reference(
        "Obuchowski NA",
        1998,
        "On the comparison of correlated proportions for clustered data",
        "Statistics in Medicine 1998;17:1495–1507",
    ),
    "Pepe 2014": Reference(
        "Pepe MS, Janes H, Li CI",
        2014,
        "Net risk reclassification p values: valid or misleading?",
        "Journal of the National Cancer Institute 2014;106:dju041",
    ),
    "Platt 1999": Reference(
        "Platt JC",
        1999,
        "Probabilistic outputs for support vector machines and comparisons to regularized "
        "likelihood methods",
        "Advances in Large Margin Classifiers, MIT Press 1999:61–74",
    ),
    "Rao 1992": Reference(
        "Rao JNK, Scott AJ",
        1992,
        "A simple method for the analysis of clustered binary data",
        "Biometrics 1992;48(2):577–585",
        "10.2307/2532311",
    ),
    "Roelofs 2022": Reference(
        "Roelofs R, Cain N, Shlens J, Mozer MC",
        2022,
        "Mitigating bias in calibration error estimation",
        "AISTATS 2022, PMLR 151:4036–4054",
    ),
    "Sadinle 2019": Reference(
        "Sadinle M, Lei J, Wasserman L",
        2019,
        "Least ambiguous set-valued classifiers with bounded error levels",
        "Journal of the American Statistical Association 2019;114(525):223–234",
        "10.1080/01621459.2017.1395341",
    ),
    "Simel 1991": Reference(
        "Simel DL, Samsa GP, Matchar DB",
        1991,
        "Likelihood ratios with confidence: sample size estimation for diagnostic test studies",
        "Journal of Clinical Epidemiology 1991;44(8):763–770",
        "10.1016/0895-4356(91)90128-V",
    ),
    "Stephenson 2008": Reference(
        "Stephenson DB, Coelho CAS, Jolliffe IT",
        2008,
        "Two extra components in the Brier score decomposition",
        "Weather and Forecasting 2008;23(4):752–757",
        "10.1175/2007WAF2006116.1",
    ),
    "Sun 2014": Reference(
        "Sun X, Xu W",
        2014,
        "Fast implementation of DeLong's algorithm for comparing the areas under correlated "
        "receiver operating characteristic curves",
        "IEEE Signal Processing Letters 2014;21(11):1389–1393",
        "10.1109/LSP.2014.2337313",
    ),
    "Traub 2024": Reference(
        "Traub J, Bungert TJ, Lüth CT, et al",
        2024,
        "Overcoming common flaws in the evaluation of selective classification systems",
        "NeurIPS 2024;37:2323–2347, arXiv:2407.01032",
    ),
    "TRIPOD+AI 2024": Reference(
        "Collins GS, Moons KGM, Dhiman P, et al",
        2024,
        "TRIPOD+AI statement: updated guidance for reporting clinical prediction models that use "
        "regression or machine learning methods",
        "BMJ 2024;385:e078378",
        "10.1136/bmj-2023-078378",
    ),
    "Van Calster 2016": Reference(
        "Van Calster B, Nieboer D, Vergouwe Y, et al",
        2016,
        "A calibration hierarchy for risk models was defined: from utopia to empirical data",
        "Journal of Clinical Epidemiology 2016;74:167–176",
        "10.1016/j.jclinepi.2015.12.005",
    ),
    "Van Calster 2019": Reference(
        "Van Calster B, McLernon DJ, van Smeden M, et al",
        2019,
        "Calibration: the Achilles heel of predictive analytics",
        "BMC Medicine 2019;17:230",
        "10.1186/s12916-019-1466-7",
    ),
    "Vickers 2006": Reference(
        "Vickers AJ, Elkin EB",
        2006,
        "Decision curve analysis: a novel method for evaluating prediction models",
        "Medical Decision Making 2006;26(6):565–574",
        "10.1177/0272989X06295361",
    ),
    "Vovk 2012": Reference(
        "Vovk V",
        2012,
        "Conditional validity of inductive conformal predictors",
        "ACML 2012, PMLR 25:475–490; Machine Learning 2013;92(2–3):349–376",
        "10.1007/s10994-013-5355-6",
    ),
    "Wilson 1927": Reference(
        "Wilson EB",
        1927,
        "Probable inference, the law of succession, and statistical inference",
        "Journal of the American Statistical Association 1927;22(158):209–212",
        "10.1080/01621459.1927.10502953",
    ),
    "Yang 2010": Reference(
        "Yang Z, Sun X, Hardin JW",
        2010,
        "A note on the tests for clustered matched-pair binary data",
        "Biometrical Journal 2010;52:638–652",
    ),
    "Youden 1950": Reference(
        "Youden WJ",
        1950,
        "Index for rating diagnostic tests",
        "Cancer 1950;3(1):32–35",
        "10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3",
    ),
    "Zadrozny 2002": Reference(
        "Zadrozny B, Elkan C",
        2002,
        "Transforming classifier scores into accurate multiclass probability estimates",
        "KDD 2002:694–699",
        "10.1145/775047.775151",
    ),
}
