// Owns how the parts of the page come together: what a chosen film shows, the views, the buttons and keys.
// Each part stands in a module of its own.

import { answerOf, spoken } from "./answer.js";
import { Problem } from "./api.js";
import { Batch } from "./batch.js";
import { askBundle, showBundle, whichBundle } from "./classifier.js";
import { csvOf } from "./csv.js";
import { asked, at, el, save, say } from "./dom.js";
import { Gestures, LARGER } from "./gestures.js";
import { takeFilms } from "./intake.js";
import { listenToKeys } from "./keys.js";
import { legend } from "./map_scale.js";
import { Pictures } from "./pictures.js";
import { Viewer } from "./viewer.js";
import { Worklist } from "./worklist.js";

const batch = new Batch();
const pictures = new Pictures();
const viewer = new Viewer(at("film"), tellViewer);
const gestures = new Gestures(viewer);
const worklist = new Worklist(batch, thumbnailOf);
let bundle = null;
let looking = new AbortController(); // what is fetched for the current film alone
let stage = ""; // what is said where a film would be

// --- the bundle ---

async function loadBundle() {
  try {
    bundle = await askBundle();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    at("which").textContent = "";
    at("classifier").replaceChildren(el("p", { class: "problem" }, error.detail));
    return;
  }
  at("which").textContent = whichBundle(bundle);
  at("which").title = bundle.digest;
  at("synthetic").hidden = !bundle.synthetic;
  batch.largest = bundle.limits?.film_bytes ?? Infinity;
  showBundle(at("classifier"), bundle);
  setFindings(bundle.findings.map((each) => each.finding));
  if (worklist.current) showAnswer(worklist.current);
}

function setFindings(names) {
  if (names.join("\n") === [...at("map-finding").options].map((each) => each.value).join("\n")) return;
  for (const id of ["finding-shown", "map-finding"]) at(id).replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  at("finding-shown-part").hidden = at("map-finding-part").hidden = names.length < 2;
  worklist.setFinding(names[0]);
  at("legend").replaceChildren(legend(names[0]));
}

function findingsSeen() {
  return [...at("map-finding").options].map((each) => each.value);
}

// --- the current film ---

worklist.addEventListener("chosen", (event) => {
  showAnswer(event.detail);
  showPicture(event.detail);
});

function showAnswer(film) {
  at("answer-title").textContent = `Answer: ${film.name}`;
  // Limits of another bundle than the one that answered would be wrong; without a policy none refers.
  const limits = bundle?.policy && film.bundle?.digest === bundle.digest ? bundle.findings : [];
  const conformal = Object.fromEntries(limits.map((each) => [each.finding, each.conformal]));
  at("answer").replaceChildren(...answerOf(film, { conformal, again: (each) => batch.again(each) }));
}

async function showPicture(film) {
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  viewer.show(null); // no film is ever seen beside another one's answer
  if (film.error) return setStage(film.state === "rejected" ? "Not read as a film" : "");
  if (film.answer === null) return setStage("Waiting…");
  setStage("Fetching the picture…");
  try {
    const bitmap = await pictures.film(film, signal);
    if (signal.aborted) return;
    viewer.show(bitmap);
    setStage("");
    await showMap(film, signal);
  } catch (error) {
    if (!signal.aborted) setStage(wordsOf(error));
  }
}

async function showMap(film, signal) {
  const wanted = at("map-on").checked && viewer.film !== null;
  at("map-opacity").disabled = !at("map-on").checked;
  at("legend").classList.toggle("off", !at("map-on").checked);
  if (!wanted) return viewer.showMap(null);
  const finding = at("map-finding").value;
  viewer.showMap(null);
  at("corner-map").textContent = "fetching the map…";
  try {
    const map = await pictures.map(film, finding, signal);
    if (!signal.aborted) viewer.showMap(map);
  } catch (error) {
    if (!signal.aborted) at("corner-map").textContent = `no map: ${wordsOf(error)}`;
  }
}

function changeMap() {
  if (worklist.current) showMap(worklist.current, looking.signal);
}

async function thumbnailOf(film) {
  try {
    return await pictures.thumbnail(film, batch.stop.signal);
  } catch {
    return null; // the row does without: what is wrong is said where the picture would be
  }
}

function wordsOf(error) {
  if (error instanceof Problem) return error.detail;
  throw error;
}

function setStage(words) {
  stage = words;
  at("stage-words").textContent = words;
  at("stage-words").hidden = words === "";
}

function tellViewer() {
  const film = worklist?.current;
  const seen = viewer.film !== null && film;
  at("corner-name").textContent = seen ? film.name : "";
  at("corner-window").textContent = seen ? `W ${Math.round(viewer.width)}  L ${Math.round(viewer.centre)}${viewer.inverted ? "  inverted" : ""}` : "";
  at("corner-zoom").textContent = seen ? `${Math.round(100 * viewer.zoom)} %` : "";
  if (viewer.map) at("corner-map").textContent = `map ${Math.round(100 * viewer.opacity)} %`;
  else if (!at("map-on").checked || !seen) at("corner-map").textContent = "";
  document.querySelector("[data-do=invert]").setAttribute("aria-pressed", String(viewer.inverted));
  viewer.canvas.setAttribute("aria-label", seen ? `Radiograph ${film.name}, window ${Math.round(viewer.width)}, level ${Math.round(viewer.centre)}, zoom ${Math.round(100 * viewer.zoom)} percent` : stage || "No film");
}

// --- the batch ---

batch.addEventListener("added", (event) => {
  tellBatch();
  say(event.detail.length === 1 ? "1 film added" : `${event.detail.length} films added`);
});
batch.addEventListener("cleared", () => {
  looking.abort();
  pictures.clear();
  viewer.show(null);
  setStage("");
  at("answer").replaceChildren();
  at("answer-title").textContent = "Answer";
  tellBatch();
});
batch.addEventListener("changed", (event) => {
  const film = event.detail;
  if (film.answer) takeAnswer(film);
  if (film === worklist.current) {
    showAnswer(film);
    if (film.isDone || film.state === "waiting") showPicture(film);
    if (film.isDone) say(spoken(film));
  }
  tellBatch();
  if (batch.done === batch.films.length && batch.films.length > 1) say(progressWords());
});

function takeAnswer(film) {
  setFindings(film.answer.findings.map((said) => said.finding));
  if (film.synthetic) at("synthetic").hidden = false;
  const digests = new Set(batch.films.filter((each) => each.answer).map((each) => each.bundle.digest));
  at("notice").hidden = digests.size < 2;
  at("notice").textContent = "The server's classifier was changed meanwhile: these answers come from more than one. Each says from which.";
  if (bundle && film.bundle.digest !== bundle.digest) {
    bundle = null;
    loadBundle();
  }
}

function progressWords() {
  const count = (state) => batch.films.filter((film) => film.state === state).length;
  const parts = [[count("answered"), "answered"], [count("referred"), "referred"], [count("rejected"), "rejected"], [count("failed"), "failed"]];
  const told = parts.filter(([n]) => n > 0).map(([n, words]) => `${n} ${words}`);
  const of = batch.films.length === 1 ? "1 film" : `${batch.films.length} films`;
  return `${of}: ${told.length ? told.join(", ") : "none answered yet"}`;
}

function tellBatch() {
  const n = batch.films.length;
  at("films-view").classList.toggle("empty", n === 0);
  at("invite").hidden = n > 0;
  at("progress").max = Math.max(1, n);
  at("progress").value = batch.done;
  at("progress-part").classList.toggle("done", batch.done === n);
  at("progress-words").textContent = n === 0 ? "" : progressWords();
  if (n === 0) at("notice").hidden = true;
}

// --- controls ---

takeFilms((files) => {
  location.hash = "#films";
  batch.add(files);
});

const actions = {
  in: () => viewer.zoomBy(LARGER),
  out: () => viewer.zoomBy(1 / LARGER),
  fit: () => viewer.fit(),
  invert: () => viewer.invert(),
  reset: () => viewer.reset(),
};
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => setTool(button.dataset.tool));

function setTool(tool) {
  gestures.tool = tool;
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  viewer.canvas.dataset.drag = tool;
}

at("map-on").addEventListener("change", changeMap);
at("map-finding").addEventListener("change", () => {
  at("legend").replaceChildren(legend(at("map-finding").value));
  changeMap();
});
at("finding-shown").addEventListener("change", () => worklist.setFinding(at("finding-shown").value));
at("map-opacity").addEventListener("input", () => setOpacity(Number(at("map-opacity").value)));

function setOpacity(percent) {
  at("map-opacity").value = String(percent);
  at("map-opacity-words").textContent = `${at("map-opacity").value} %`;
  viewer.setOpacity(Number(at("map-opacity").value) / 100);
}

at("names").addEventListener("change", () => {
  at("csv-names-part").hidden = !at("names").checked;
  if (!at("names").checked) at("csv-names").checked = false;
});
at("csv").addEventListener("click", () => {
  if (batch.films.length === 0) return;
  const text = csvOf(batch.films, findingsSeen(), { withNames: at("csv-names").checked });
  save(new Blob([text], { type: "text/csv;charset=utf-8" }), "hilum-answers.csv");
  say("CSV made");
});
at("clear").addEventListener("click", async () => {
  if (batch.films.length === 0) return;
  at("clear-words").textContent = `${progressWords()}. The answers go unless they were exported.`;
  if ((await asked(at("clear-dialog"))) === "yes") {
    batch.clear();
    document.querySelector("#invite [data-add]").focus();
  }
});
const help = () => asked(at("help-dialog"));
at("help-open").addEventListener("click", help);

const onFilms = (run) => (event) => {
  if (at("films-view").hidden || batch.films.length === 0) return false;
  return run(event);
};
listenToKeys([
  { keys: ["j", "ArrowDown"], words: "next film", run: onFilms(() => worklist.step(1, { focus: true })) },
  { keys: ["k", "ArrowUp"], words: "film before", run: onFilms(() => worklist.step(-1, { focus: true })) },
  { keys: ["Home"], words: "first film", run: onFilms(() => worklist.ends(false, { focus: true })) },
  { keys: ["End"], words: "last film", run: onFilms(() => worklist.ends(true, { focus: true })) },
  { keys: ["m"], words: "map on or off", run: onFilms(() => at("map-on").click()) },
  { keys: ["["], words: "map fainter", run: onFilms(() => setOpacity(Number(at("map-opacity").value) - 10)) },
  { keys: ["]"], words: "map stronger", run: onFilms(() => setOpacity(Number(at("map-opacity").value) + 10)) },
  { keys: ["+", "="], words: "zoom in", run: onFilms(actions.in) },
  { keys: ["-"], words: "zoom out", run: onFilms(actions.out) },
  { keys: ["0", "f"], words: "fit", run: onFilms(actions.fit) },
  { keys: ["i"], words: "invert", run: onFilms(actions.invert) },
  { keys: ["r"], words: "reset greys and place", run: onFilms(actions.reset) },
  { keys: ["a"], words: "add films", run: () => at("files").click() },
  { keys: ["?"], words: "this list", run: () => void help() },
], [
  ["Enter", "in the worklist: go to the film"],
  ["Arrows", "on the film: move it"],
  ["Shift + arrows", "on the film: window and level"],
  ["Drag", "window (right is wider) and level (up is brighter), or move"],
  ["Shift + drag, right drag", "move the film"],
  ["Wheel, pinch", "zoom"],
  ["Double click", "fit"],
]);
at("list").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  worklist.choose(event.target.closest("tr").film);
  viewer.canvas.focus();
});

// --- views ---

function showView() {
  const classifier = location.hash === "#classifier";
  if (!classifier && location.hash !== "#films" && location.hash !== "") return; // a place within the view
  at("films-view").hidden = classifier;
  at("classifier-view").hidden = !classifier;
  for (const link of document.querySelectorAll("nav a")) {
    if ((link.hash === "#classifier") === classifier) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = classifier ? "Classifier · Hilum" : "Hilum";
  if (classifier && bundle === null) loadBundle();
}

window.addEventListener("hashchange", showView);
window.addEventListener("beforeunload", (event) => {
  if (batch.done < batch.films.length) event.preventDefault();
});
setTool("window");
tellBatch();
showView();
loadBundle();
