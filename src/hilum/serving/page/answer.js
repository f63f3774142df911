// Owns the answer of one film on the page: decision or referral, the scale, warnings, facts, origin.
// The words of an answer are the server's; numbers become words in `words`.

import { el, icon } from "./dom.js";
import { factRows, pointWords, probability, short } from "./words.js";

const HEADINGS = { present: "Called present", absent: "Called absent", referred: "Refer to a reader" };

/**
 * The panel of a film. conformal: finding to the {present_from, absent_to} of its prediction sets, where they are known
 * again: called when a film that failed is to be sent once more
 */
export function answerOf(film, { conformal, again }) {
  if (film.state === "rejected") return refusal(film, "rejected", "Not read", null);
  if (film.state === "failed") return refusal(film, "failed", "No answer yet", again);
  if (film.answer === null) return [el("p", { class: "waiting" }, icon("waiting"), waiting(film))];
  const { answer } = film;
  return [
    ...answer.findings.map((said) => findingCard(said, conformal[said.finding])),
    answer.warnings.length > 0
      ? el("section", { class: "warnings" }, el("h3", {}, "Warnings"), el("ul", {}, answer.warnings.map((words) => el("li", {}, words))))
      : null,
    el("section", {}, el("h3", {}, "Film"), table("Facts of the film", factRows(answer.facts))),
    el("section", {}, el("h3", {}, "Origin of this answer"), table("Origin of the answer", [
      ["Classifier", film.bundle.name],
      ["Bundle digest", short(film.bundle.digest), film.bundle.digest],
      ["Engine", film.engine],
      ["Film digest", short(answer.input), answer.input],
    ])),
    el("p", { class: "small" }, "The server tells this page no patient's name, number or date."),
  ].filter(Boolean);
}

/** One sentence for a screen reader. */
export function spoken(film) {
  if (film.error) return `${film.name}: ${film.state}. ${film.error.detail}`;
  if (film.answer === null) return `${film.name}: ${waiting(film)}`;
  return `${film.name}: ${film.answer.findings.map((said) => said.wording).join(" ")}`;
}

function waiting(film) {
  return film.wait ? `The server is busy. Sent again in about ${Math.ceil(film.wait)} s.` : "Waiting for the server…";
}

function refusal(film, kind, heading, again) {
  let button = null;
  if (again) {
    button = el("button", { type: "button", id: "again" }, "Send again");
    button.addEventListener("click", () => again(film));
  }
  return [el("article", { class: `finding ${kind}` },
    el("p", { class: "decision" }, icon(kind), heading),
    el("p", { class: "wording" }, film.error.detail),
    button,
  )];
}

function findingCard(said, limits) {
  const kind = said.refer ? "referred" : said.decision;
  return el("article", { class: `finding ${kind}`, "data-finding": said.finding },
    el("h3", {}, said.finding),
    el("p", { class: "decision" }, icon(kind), HEADINGS[kind]),
    el("p", { class: "wording" }, said.wording),
    said.refer ? el("p", { class: "withheld" }, "Withheld as an answer: the probability below is no basis for a decision on this film.") : null,
    scale(said, limits),
  );
}

function scale(said, limits) {
  const prob = probability(said.probability);
  const point = `${pointWords(said.operating_point)} ${said.threshold.toFixed(3)}`;
  const between = unsureOf(limits);
  const parts = [el("div", { class: "side absent" }), el("div", { class: "side present" })];
  parts[0].style.width = share(said.threshold);
  if (between) {
    const band = el("div", { class: "unsure" });
    band.style.left = share(between[0]);
    band.style.width = share(between[1] - between[0]);
    parts.push(band);
  }
  // Another maker's model gives a probability that nobody here has calibrated; the sentence says which.
  const name = said.refer || said.wording.includes("calibrated") ? "Calibrated probability" : "Probability";
  const words = `${name} ${prob} on a scale from 0 to 1${said.refer ? ", withheld as an answer" : ""}. Operating point ${point}.`;
  return el("div", { class: `scale${said.refer ? " subdued" : ""}` },
    el("p", { class: "prob" }, el("span", { class: "prob-name" }, said.refer ? "Probability, withheld" : name), " ", el("b", { "data-probability": said.probability }, prob)),
    el("div", { class: "drawn", role: "img", "aria-label": words },
      el("div", { class: "track" }, parts),
      placed("marker", said.probability),
      placed("threshold", said.threshold),
      el("div", { class: "ends", "aria-hidden": "true" }, el("span", {}, "0"), el("span", {}, "0.5"), el("span", {}, "1")),
    ),
    el("ul", { class: "key" },
      el("li", {}, el("span", { class: "sample threshold-sample" }), `Operating point: ${point}`),
      between
        ? el("li", {}, el("span", { class: "sample unsure-sample" }), `Referred as too uncertain: ${between[0].toFixed(2)} to ${between[1].toFixed(2)}`)
        : null,
    ),
  );
}

/** Between which probabilities a prediction set does not hold one answer alone; null where that is not known. */
function unsureOf(limits) {
  const ends = [limits?.absent_to, limits?.present_from];
  if (!ends.every((end) => typeof end === "number")) return null;
  const [low, high] = ends.sort((a, b) => a - b);
  return low < high ? [low, high] : null;
}

function placed(kind, where) {
  const mark = el("div", { class: kind });
  mark.style.left = share(where);
  return mark;
}

function share(part) {
  return `${100 * Math.min(Math.max(part, 0), 1)}%`;
}

/** Rows of name and words; a third value is the whole of what is cut. */
export function table(caption, rows) {
  return el("table", { class: "pairs" },
    el("caption", { class: "unseen" }, caption),
    el("tbody", {}, rows.map(([name, words, whole]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { title: whole ?? null }, words)))),
  );
}
