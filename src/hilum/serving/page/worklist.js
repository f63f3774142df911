// Owns the list of the batch: rows, their order, which kinds are shown, and which film is current.
// What is said of the current film is left to `answer`, its picture to `viewer`.

import { at, el, icon } from "./dom.js";
import { STATUSES } from "./batch.js";
import { STATUS_WORDS, probability } from "./words.js";

const FILTERS = {
  all: ["All", () => true],
  answered: ["Answered", (status) => status === "present" || status === "absent"],
  referred: ["Referred", (status) => status === "referred"],
  rejected: ["Rejected", (status) => status === "rejected" || status === "failed"],
  waiting: ["Waiting", (status) => status === "waiting"],
};

/** Tells "chosen" (detail: the film) when another film becomes current. */
export class Worklist extends EventTarget {
  /** batch: whose films; thumbnail: film → promise of a picture's address */
  constructor(batch, thumbnail) {
    super();
    this.batch = batch;
    this.thumbnail = thumbnail;
    this.rows = new Map();
    this.current = null;
    this.finding = null;
    this.order = { by: "number", down: false };
    this.filter = "all";
    this.drawing = false;
    this.makeFilters();
    for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => this.sortBy(button.dataset.sort));
    at("list").addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) this.choose(row.film);
    });
    at("names").addEventListener("change", () => {
      for (const film of this.rows.keys()) this.nameFile(film);
    });
    batch.addEventListener("added", (event) => this.add(event.detail));
    batch.addEventListener("changed", (event) => this.change(event.detail));
    batch.addEventListener("cleared", () => this.clear());
  }

  /** The films that are shown, in the order of the rows. */
  get shown() {
    return [...at("list").rows].map((row) => row.film);
  }

  /** Make a film current and bring its row into sight. */
  choose(film, { focus = false } = {}) {
    const before = this.rows.get(this.current)?.button;
    if (before) {
      before.tabIndex = -1;
      before.removeAttribute("aria-current");
      before.closest("tr").classList.remove("current");
    }
    this.current = film;
    const row = this.rows.get(film);
    row.button.tabIndex = 0;
    row.button.setAttribute("aria-current", "true");
    row.row.classList.add("current");
    row.row.scrollIntoView({ block: "nearest" });
    if (focus) row.button.focus({ preventScroll: true });
    this.dispatchEvent(new CustomEvent("chosen", { detail: film }));
  }

  /** The next film of the list, or the one before with -1. */
  step(by, options) {
    const films = this.shown;
    if (films.length === 0) return;
    const place = films.indexOf(this.current);
    this.choose(films[Math.min(Math.max(place + by, 0), films.length - 1)], options);
  }

  ends(last, options) {
    const films = this.shown;
    if (films.length > 0) this.choose(films.at(last ? -1 : 0), options);
  }

  /** name: whose answers the list shows, sorts and filters by */
  setFinding(name) {
    this.finding = name;
    for (const film of this.batch.films) this.fill(film);
    this.draw();
  }

  add(films) {
    for (const film of films) {
      const picture = el("span", { class: "thumbnail" });
      const name = el("span", { class: "file-name" });
      const button = el("button", { type: "button", class: "open", tabindex: "-1" }, picture, el("span", { class: "words" }, el("span", {}, film.name), name));
      const prob = el("td", { class: "number" });
      const status = el("td", { class: "status" });
      const row = el("tr", { "data-film": film.number }, el("th", { scope: "row" }, button), prob, status);
      row.film = film;
      this.rows.set(film, { row, button, picture, prob, status, name });
      this.nameFile(film);
      this.fill(film);
    }
    if (this.current === null) {
      at("list").append(this.rows.get(films[0]).row);
      this.choose(films[0]);
    }
    this.draw();
  }

  change(film) {
    if (!this.rows.has(film)) return;
    this.fill(film);
    if (film.answer) this.picture(film);
    this.draw();
  }

  clear() {
    this.rows.clear();
    this.current = null;
    at("list").replaceChildren();
    this.draw();
  }

  /** A file's name may hold a patient's: it is nowhere on the page unless it is asked for. */
  nameFile(film) {
    this.rows.get(film).name.textContent = at("names").checked ? film.file.name : "";
  }

  fill(film) {
    const { prob, status } = this.rows.get(film);
    const kind = film.status(this.finding);
    const said = film.finding(this.finding);
    prob.replaceChildren(said ? probability(said.probability) : "–");
    prob.classList.toggle("subdued", kind === "referred");
    status.className = `status ${kind}`;
    // A film without a probability has room for the server's reason.
    prob.hidden = film.error !== null;
    status.colSpan = film.error ? 2 : 1;
    const detail = film.error ? el("span", { class: "detail" }, film.error.detail) : null;
    status.replaceChildren(el("span", { class: "chip" }, icon(kind), STATUS_WORDS[kind]), ...(detail ? [detail] : []));
  }

  async picture(film) {
    const { picture } = this.rows.get(film);
    if (picture.dataset.asked) return;
    picture.dataset.asked = "yes";
    const address = await this.thumbnail(film);
    if (address) picture.replaceChildren(el("img", { src: address, alt: "", width: 36, height: 36 }));
  }

  makeFilters() {
    this.buttons = Object.entries(FILTERS).map(([name, [words]]) => {
      const button = el("button", { type: "button", "aria-pressed": String(name === "all"), "data-filter": name }, words, " ", el("span", { class: "count" }, "0"));
      button.addEventListener("click", () => {
        this.filter = name;
        for (const each of this.buttons) each.setAttribute("aria-pressed", String(each === button));
        this.draw();
      });
      return button;
    });
    at("filters").replaceChildren(...this.buttons);
  }

  /** By the same column again: the other way round. */
  sortBy(column) {
    this.order = { by: column, down: this.order.by === column ? !this.order.down : column === "probability" };
    for (const button of document.querySelectorAll("[data-sort]")) {
      const heading = button.closest("th");
      if (button.dataset.sort === column) heading.setAttribute("aria-sort", this.order.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    this.draw();
  }

  /** Rows, counts and progress, once a frame however many films have changed. */
  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.arrange();
    });
  }

  arrange() {
    const films = this.batch.films.map((film) => ({ film, status: film.status(this.finding), prob: film.finding(this.finding)?.probability ?? null }));
    for (const button of this.buttons) {
      const [, holds] = FILTERS[button.dataset.filter];
      button.querySelector(".count").textContent = films.filter(({ status }) => holds(status)).length;
    }
    const [, holds] = FILTERS[this.filter];
    const rows = films.filter(({ status }) => holds(status)).sort(this.comparison()).map(({ film }) => this.rows.get(film).row);
    const list = at("list");
    if (rows.length !== list.rows.length || rows.some((row, k) => list.rows[k] !== row)) {
      const held = document.activeElement?.closest?.("#list tr") ? document.activeElement : null;
      list.replaceChildren(...rows);
      if (held?.isConnected) held.focus({ preventScroll: true });
    }
    // Wherever the current film is filtered away, the list must still be reached by Tab.
    const first = rows.find((row) => row.film === this.current) ?? rows[0];
    for (const { row, button } of this.rows.values()) button.tabIndex = row === first ? 0 : -1;
    at("none-shown").hidden = rows.length > 0;
  }

  comparison() {
    const { by, down } = this.order;
    const way = down ? -1 : 1;
    if (by === "probability") {
      // Films without a probability stand last, whichever way it goes.
      return (a, b) => (a.prob === null) - (b.prob === null) || way * (a.prob - b.prob) || a.film.number - b.film.number;
    }
    if (by === "status") return (a, b) => way * (STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status)) || a.film.number - b.film.number;
    return (a, b) => way * (a.film.number - b.film.number);
  }
}
