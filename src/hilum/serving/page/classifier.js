// Owns the view of the bundle: what the classifier is, its points and figures, when it refers, its card and report.
// It is asked for once, when it is first looked at, and again when the server has another bundle.

import { hasToken, json, Problem, request } from "./api.js";
import { table } from "./answer.js";
import { el, save } from "./dom.js";
import { markdown } from "./markdown.js";
import { estimate, percent, pointWords, short } from "./words.js";

const FIGURES = {
  auroc: "AUROC",
  average_precision: "Average precision",
  brier: "Brier score",
  log_loss: "Log loss",
  ece: "Calibration error (ECE)",
  calibration_intercept: "Calibration intercept",
  calibration_slope: "Calibration slope",
};
const ROLES = {
  train: "fits the weights",
  tune: "stops training",
  calibrate: "sets calibration, points and limits",
  test: "opened to judge alone",
};
const SHORT = 32; // letters of a cell that is kept on one line

/** The bundle as the server tells of it. Throws Problem. */
export function askBundle() {
  return json("v1/bundle");
}

/** Fill the view. bundle: of `askBundle` */
export function showBundle(place, bundle) {
  place.replaceChildren(
    identity(bundle),
    ...(bundle.warnings?.length ? [part("Warnings", el("ul", { class: "warnings" }, bundle.warnings.map((words) => el("li", {}, words))))] : []),
    reportPart(bundle),
    findings(bundle),
    points(bundle),
    figures(bundle),
    policy(bundle),
    films(bundle),
    cardPart(bundle),
  );
}

function part(title, ...children) {
  return el("section", { class: "part" }, el("h2", {}, title), ...children);
}

function wide(name, head, rows) {
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name },
    el("table", {},
      el("thead", {}, el("tr", {}, head.map((words) => el("th", { scope: "col" }, words)))),
      el("tbody", {}, rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((words) => el("td", { class: String(words).length < SHORT ? "short" : "long" }, words))))),
    ));
}

function identity(bundle) {
  const agreement = bundle.engine?.agreement;
  const rows = [
    ["Name", bundle.name],
    ["Digest", bundle.digest],
    ["Made", bundle.created?.slice(0, 10)],
    ["Network", bundle.backbone?.name],
    ["Input", bundle.engine?.input_size ? `${bundle.engine.input_size} × ${bundle.engine.input_size} pixels, grey` : null],
    ["Films that made it", bundle.training?.source],
    ["Their ages", bundle.ages_in_words],
    ["Engine", bundle.engine?.name],
    ["Engine's agreement", agreement ? `within ${agreement.largest_probability_difference.toExponential(1)} of the trained network's probability, ${agreement.n} films of ${agreement.role}` : null],
    ["Licence", bundle.licence],
    ["Intended use", bundle.intended_use],
  ].filter(([, words]) => words);
  return part("Identity", table("Identity of the classifier", rows));
}

function findings(bundle) {
  return part("Findings", el("dl", { class: "meanings" }, bundle.findings.map(({ finding, meaning }) =>
    el("div", {}, el("dt", {}, finding), el("dd", {}, meaning ?? "No definition of the label is kept.")))));
}

function points(bundle) {
  const tables = bundle.findings.map(({ finding, operating_points }) =>
    [el("h3", {}, finding), wide(`Operating points of ${finding}`, ["Point", "Present from", "Sensitivity", "Specificity", "Rule"], operating_points.map((point) => [
      `${pointWords(point.name)}${point.deployed ? " (deployed)" : ""}`,
      point.threshold.toFixed(4),
      estimate(point.sensitivity),
      estimate(point.specificity),
      point.rule,
    ]))]);
  return part("Operating points", el("p", { class: "note" }, "Chosen on the calibrate role, with 95 % intervals. The deployed point decides."), ...tables.flat());
}

function figures(bundle) {
  const roles = Object.keys(bundle.figures ?? {});
  if (roles.length === 0) return part("Figures", el("p", {}, "None are kept in the bundle."));
  const tables = bundle.findings.flatMap(({ finding }) => {
    const names = Object.keys(FIGURES).filter((name) => roles.some((role) => bundle.figures[role][finding]?.[name]));
    return [el("h3", {}, finding), wide(`Figures of ${finding}`, ["Figure", ...roles], names.map((name) =>
      [FIGURES[name], ...roles.map((role) => estimate(bundle.figures[role][finding]?.[name]))]))];
  });
  const optimistic = roles.every((role) => role !== "test");
  return part("Figures", el("p", { class: "note" }, `With 95 % intervals.${optimistic ? " Optimistic: training and calibration used these roles." : ""}`), ...tables);
}

function policy(bundle) {
  const limits = bundle.findings.filter(({ conformal }) => isKnown(conformal?.absent_to) && isKnown(conformal?.present_from));
  const rows = [
    ...(bundle.policy ? [["Asked in order", bundle.policy]] : []),
    ...limits.map(({ finding, conformal }) =>
      [`Prediction set, ${finding}`, `present from ${conformal.present_from.toFixed(3)}, absent to ${conformal.absent_to.toFixed(3)}; covers ${percent(conformal.coverage)} of each class. ${bundle.policy ? "A film is referred where the set does not hold the decision alone." : "It refers no film: there is no policy of abstention."}`]),
  ];
  return part("When it refers", rows.length > 0 ? table("When the classifier refers", rows) : el("p", {}, "Never: it has no policy of abstention."));
}

function isKnown(limit) {
  return limit !== null && limit !== undefined;
}

function films(bundle) {
  const rows = Object.entries(bundle.training?.roles ?? {}).flatMap(([role, told]) =>
    Object.entries(told.n_by_label ?? {}).map(([finding, count], k) => [k === 0 ? role : "", ROLES[role] ?? "", finding, count.present, count.absent, count.unknown]));
  if (rows.length === 0) return part("Films", el("p", {}, "The bundle does not tell."));
  const counted = rows.map((row) => row.map((each) => (typeof each === "number" ? each.toLocaleString("en") : each)));
  return part("Films", wide("Films by role", ["Role", "What it does", "Finding", "Present", "Absent", "Unknown"], counted));
}

function reportPart(bundle) {
  if (!bundle.report) return part("Report of its evaluation", el("p", {}, "None stands beside this bundle. ", el("code", {}, "hilum evaluate"), " writes one."));
  const place = el("p", {});
  if (hasToken()) {
    // A link carries no token, and a page made here would lose its own styles: then it is saved.
    const button = el("button", { type: "button" }, "Save the report");
    button.addEventListener("click", () => saveReport(place));
    place.append(button);
  } else {
    place.append(el("a", { class: "button", href: "v1/bundle/report", target: "_blank", rel: "noopener" }, "Open the report"));
  }
  return part("Report of its evaluation", place, el("p", { class: "note" }, "Figures with intervals, curves, subgroups and errors, in one page."));
}

async function saveReport(place) {
  try {
    save(await (await request("v1/bundle/report")).blob(), "hilum-report.html");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    place.replaceChildren(error.detail);
  }
}

function cardPart(bundle) {
  if (!bundle.card) return part("Model card", el("p", {}, "The bundle holds none."));
  const place = part("Model card", el("p", {}, "Being fetched…"));
  const put = (what) => place.replaceChildren(place.firstChild, what);
  request("v1/bundle/card").then(async (response) => put(el("div", { class: "card" }, markdown(await response.text(), 3)))).catch((error) => {
    if (!(error instanceof Problem)) throw error;
    put(el("p", { class: "problem" }, error.detail));
  });
  return place;
}

/** Name and short digest, for the bar. */
export function whichBundle(bundle) {
  return `${bundle.name} · ${short(bundle.digest)}`;
}
