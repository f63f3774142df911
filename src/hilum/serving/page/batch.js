// Owns the films of the batch and what is known of each; sends them one a request, a few at a time.
// How they are shown is left to whoever listens; their pictures, to `pictures`.

import { json, Problem } from "./api.js";

const AT_ONCE = 3;

/** In the order in which a list sorts them. */
export const STATUSES = ["present", "absent", "referred", "rejected", "failed", "waiting"];

/**
 * A film. number: from 1; file: as the browser has it; status: of STATUSES, "answered" where findings differ
 * answer: the API's, of this film; bundle, engine, synthetic: who said so; error: {type, detail} of a refusal
 */
class Film {
  constructor(number, file) {
    this.number = number;
    this.file = file;
    this.name = `film-${number}`;
    this.forget();
  }

  forget() {
    this.state = "waiting";
    this.answer = this.bundle = this.engine = this.synthetic = this.error = this.wait = null;
  }

  get isDone() {
    return this.state !== "waiting" && this.state !== "sent";
  }

  /** What is said of one finding, null where nothing is. */
  finding(name) {
    return this.answer?.findings?.find((each) => each.finding === name) ?? null;
  }

  /** One of STATUSES, seen by one finding. */
  status(name) {
    if (this.state === "rejected" || this.state === "failed") return this.state;
    const said = this.finding(name);
    if (said === null) return "waiting";
    return said.refer ? "referred" : said.decision;
  }
}

/** Tells "added", "changed" (detail: the film) and "cleared". */
export class Batch extends EventTarget {
  constructor() {
    super();
    this.films = [];
    this.last = 0;
    this.busy = 0;
    this.stop = new AbortController();
    this.largest = Infinity; // bytes of a film that the server takes
  }

  add(files) {
    const added = files.map((file) => new Film((this.last += 1), file));
    this.films.push(...added);
    this.dispatchEvent(new CustomEvent("added", { detail: added }));
    this.pump();
  }

  /** Send a film again that failed. */
  again(film) {
    film.forget();
    this.tell(film);
    this.pump();
  }

  clear() {
    this.stop.abort();
    this.stop = new AbortController();
    this.films = [];
    this.last = 0;
    this.busy = 0;
    this.dispatchEvent(new Event("cleared"));
  }

  get done() {
    return this.films.filter((film) => film.isDone).length;
  }

  tell(film) {
    this.dispatchEvent(new CustomEvent("changed", { detail: film }));
  }

  pump() {
    while (this.busy < AT_ONCE) {
      const film = this.films.find((each) => each.state === "waiting");
      if (!film) return;
      this.busy += 1;
      film.state = "sent";
      this.send(film, this.stop.signal);
    }
  }

  async send(film, signal) {
    try {
      // A server that refuses a body cuts the line, which looks as if it were not there.
      if (film.file.size > this.largest) throw new Problem(413, "too-large", `larger than the ${Math.floor(this.largest / 2 ** 20)} MiB that the server takes`);
      const told = await json("v1/predict", {
        body: formOf(film),
        signal,
        busy: (seconds) => {
          film.wait = seconds;
          this.tell(film);
        },
      });
      this.take(film, told);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      refuse(film, error);
    }
    if (signal.aborted) return;
    film.wait = null;
    this.busy -= 1;
    this.tell(film);
    this.pump();
  }

  take(film, told) {
    const [said] = told.films;
    film.bundle = told.bundle;
    film.engine = told.engine;
    film.synthetic = told.synthetic;
    if (said.status === "rejected") {
      refuse(film, said.error);
    } else {
      film.state = said.status;
      film.answer = said;
    }
  }
}

// What the server says of this film will not change; what it says of itself may.
function refuse(film, { status, type, detail }) {
  const final = status >= 400 && status < 500 && ![401, 408, 429].includes(status);
  film.state = final ? "rejected" : "failed";
  film.error = { type, detail };
}

/** A form that holds the film, without its file name: that may hold a patient's. */
export function formOf(film) {
  const form = new FormData();
  form.append("film", film.file, "film");
  return form;
}
