// Owns the keys that work everywhere on the page, their list in the help, and switching them off.
// Keys of the canvas alone are left to `gestures`.

import { at, el } from "./dom.js";

const KEPT_AS = "hilum-single-keys";

/** actions: [{keys, words, run}], keys: of KeyboardEvent.key; others: [[keys, words]], told in the help only */
export function listenToKeys(actions, others) {
  const on = at("keys-on");
  on.checked = kept() !== "off";
  on.addEventListener("change", () => {
    try {
      localStorage.setItem(KEPT_AS, on.checked ? "on" : "off");
    } catch {
      // Not kept; it holds until the page is left.
    }
  });
  const byKey = new Map(actions.flatMap(({ keys, run }) => keys.map((key) => [key, run])));
  window.addEventListener("keydown", (event) => {
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
    const run = byKey.get(event.key);
    if (!run) return;
    if (run(event) !== false) event.preventDefault();
  });
  const pairs = [...actions.map(({ keys, words }) => [keys.map(keyName).join(" or "), words]), ...others];
  at("keys").replaceChildren(...pairs.map(([keys, words]) => el("div", {}, el("dt", {}, keys), el("dd", {}, words))));
}

// A range, a list and a text field have their own use for keys.
function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea");
}

function keyName(key) {
  return { ArrowDown: "↓", ArrowUp: "↑", Home: "Home", End: "End" }[key] ?? key;
}

function kept() {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}
