// Owns the answers as a CSV file: one row a film, quoted as RFC 4180 asks, and safe in a spreadsheet.
// It is made in the browser; nothing is sent.

// A cell that begins like this is run as a formula by spreadsheets.
const FORMULA = /^[\s]*[=+\-@\t\r\n＝＋－＠]/u;
// In some languages a spreadsheet parts cells at semicolons, whatever the quotes around all of it.
const FORMULA_BEHIND = /(;\s*)(?=[=+\-@＝＋－＠])/gu;

/** One cell. Numbers stand as they are; text that a spreadsheet would run gets an apostrophe before it. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  let text = String(value).replaceAll("\0", "");
  if (FORMULA.test(text)) text = `'${text}`;
  text = text.replace(FORMULA_BEHIND, "$1'");
  return /[",;\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** films: of the batch, in the order of the rows; findings: names; withNames: the films' file names, too */
export function csvOf(films, findings, { withNames }) {
  const head = [
    "film",
    ...(withNames ? ["file_name"] : []),
    "status",
    ...findings.flatMap((finding) => ["prob", "answer", "refer", "threshold", "operating_point"].map((kind) => column(kind, finding))),
    "warnings", "error",
    "format", "rows", "columns", "modality", "body_part", "view", "laterality", "age", "sex",
    "input_sha256", "engine", "bundle", "bundle_digest", "synthetic", "notice",
  ];
  const rows = films.map((film) => {
    const facts = film.answer?.facts ?? {};
    return [
      film.name,
      ...(withNames ? [film.file.name] : []),
      film.isDone ? film.state : "waiting",
      ...findings.flatMap((finding) => ofFinding(film.finding(finding))),
      film.answer?.warnings.join(" | "), film.error?.detail,
      facts.format, facts.rows, facts.columns, facts.modality, facts.body_part, facts.view, facts.laterality, facts.age, facts.sex,
      film.answer?.input, film.engine, film.bundle?.name, film.bundle?.digest, film.synthetic,
      "Research use only: not a medical device",
    ];
  });
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

// The probability of a referred film is told, but its answer is "refer", whatever the threshold.
function ofFinding(said) {
  if (said === null) return [null, null, null, null, null];
  return [said.probability, said.refer ? "refer" : said.decision, said.refer?.reason, said.threshold, said.operating_point];
}

// As Hilum's predictions name their columns.
function column(kind, finding) {
  return `${kind}_${finding.toLowerCase().replaceAll(" ", "_")}`;
}
