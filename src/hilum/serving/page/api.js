// Owns the talk with the server: its token, its refusals, and coming again when it is busy.
// What is asked, and what is made of the answer, is left to the callers.

import { asked, at } from "./dom.js";

const KEPT_AS = "hilum-token";
const MOST_TRIES = 40;
const LONGEST_WAIT_S = 30;

/** The server did not answer. status: HTTP's, 0 where it was not reached; detail: one line for people. */
export class Problem extends Error {
  constructor(status, type, detail) {
    super(detail);
    this.status = status;
    this.type = type;
    this.detail = detail;
  }
}

let token = keptToken();
let asking = null;

/** Whether requests carry a token, so that a plain link would be refused. */
export function hasToken() {
  return token !== "";
}

/**
 * A response that is 2xx. body: FormData or undefined; signal: to give up; busy: told the seconds of a wait.
 * Throws Problem; a DOMException named AbortError when given up.
 */
export async function request(path, { body, signal, busy } = {}) {
  for (let tries = 1; ; tries += 1) {
    const sent = token;
    const response = await once(path, body, signal);
    if (response.ok) return response;
    if (response.status === 401 && (await otherToken(sent))) continue;
    if (response.status === 503 && tries < MOST_TRIES) {
      const seconds = waitOf(response);
      busy?.(seconds);
      await rest(seconds * (1 + 0.25 * Math.random()), signal);
      continue;
    }
    throw await problemOf(response);
  }
}

/** `request`, and its JSON. */
export async function json(path, options) {
  return (await request(path, options)).json();
}

async function once(path, body, signal) {
  const headers = token === "" ? {} : { Authorization: `Bearer ${token}` };
  try {
    return await fetch(path, { method: body ? "POST" : "GET", body, headers, signal, redirect: "error", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "not-reached", "The server could not be reached, or the film could not be read from this computer.");
  }
}

async function problemOf(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // Not JSON: a proxy's page, say. The status alone is told.
  }
  const detail = typeof told.detail === "string" ? told.detail : (told.title ?? `The server answered with status ${response.status}.`);
  return new Problem(response.status, told.type ?? "", detail);
}

function waitOf(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? 1);
  return Math.min(Math.max(Number.isFinite(seconds) ? seconds : 1, 0.2), LONGEST_WAIT_S);
}

function rest(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Whether there is another token to try than the one that was refused; asks for one at most once at a time. */
async function otherToken(refused) {
  if (token !== refused) return true;
  asking ??= askForToken(refused !== "").finally(() => {
    asking = null;
  });
  return asking;
}

async function askForToken(wasWrong) {
  const field = at("token");
  at("token-title").textContent = wasWrong ? "That token was refused" : "This server asks for a token";
  field.value = "";
  const answer = await asked(at("token-dialog"));
  const typed = field.value.trim();
  field.value = "";
  if (answer !== "go" || typed === "") return false;
  token = typed;
  try {
    sessionStorage.setItem(KEPT_AS, typed);
  } catch {
    // Not kept; it holds until the page is left.
  }
  return true;
}

function keptToken() {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return "";
  }
}
