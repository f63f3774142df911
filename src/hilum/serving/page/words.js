// Owns how numbers, facts and findings are put into words.
// Sentences about an answer are the server's own.

/** Status of a film, as one word. */
export const STATUS_WORDS = {
  present: "Present",
  absent: "Absent",
  referred: "Refer",
  rejected: "Rejected",
  failed: "Failed",
  waiting: "Waiting",
};

/** A probability with three digits, which never says a certainty that is not there. */
export function probability(prob) {
  if (prob > 0.9995 && prob < 1) return ">0.999";
  if (prob < 0.0005 && prob > 0) return "<0.001";
  return prob.toFixed(3);
}

/** The name of an operating point as words. */
export function pointWords(name) {
  return String(name).replaceAll("_", " ");
}

/** The first letters of a digest. */
export function short(digest) {
  return String(digest ?? "").slice(0, 12);
}

/** An estimate with its interval: "0.946 (0.919 to 0.964)", or why there is none. */
export function estimate(figure) {
  if (!figure || figure.value === null || figure.value === undefined) return figure?.reason ? `none: ${figure.reason}` : "none";
  const digits = Math.abs(figure.value) >= 10 ? 1 : 3;
  const known = figure.low !== null && figure.low !== undefined && figure.high !== null && figure.high !== undefined;
  const value = figure.value.toFixed(digits);
  return known ? `${value} (${figure.low.toFixed(digits)} to ${figure.high.toFixed(digits)})` : value;
}

/** A share as a percentage. */
export function percent(share) {
  return `${+(100 * share).toFixed(1)} %`;
}

const VIEWS = { PA: "PA, from behind", AP: "AP, from the front", LL: "left lateral", RL: "right lateral", LATERAL: "lateral" };
const SEXES = { M: "male", F: "female", O: "other" };
const PHOTOMETRIC = { MONOCHROME1: "MONOCHROME1, stored inverted", MONOCHROME2: "MONOCHROME2" };

/** Facts of a film as pairs of plain name and words, those that are not told left out. */
export function factRows(facts) {
  const rows = [
    ["Format", facts.format],
    ["Size", facts.rows && facts.columns ? `${facts.columns} × ${facts.rows} pixels` : null],
    ["Bits a pixel", facts.bits],
    ["Stored greys", PHOTOMETRIC[facts.photometric] ?? facts.photometric],
    ["Window applied", facts.window],
    ["Pixel spacing", spacing(facts.pixel_spacing_mm)],
    ["Modality", facts.modality],
    ["Body part", facts.body_part],
    ["View", VIEWS[facts.view] ?? facts.view],
    ["Side", facts.laterality],
    ["Age", age(facts.age)],
    ["Sex", SEXES[facts.sex] ?? facts.sex],
  ];
  return rows.filter(([, words]) => words !== null && words !== undefined && words !== "").map(([name, words]) => [name, String(words)]);
}

function spacing(millimetres) {
  if (!millimetres) return null;
  const [down, across] = millimetres.map((each) => +each.toPrecision(3));
  return down === across ? `${down} mm` : `${down} × ${across} mm (down, across)`;
}

function age(years) {
  if (years === null || years === undefined) return null;
  if (years >= 2) return `${Math.floor(years)} years`;
  const months = Math.round(12 * years);
  return months === 1 ? "1 month" : `${months} months`;
}
