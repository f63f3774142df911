// Owns what the map's colours mean: the server's fixed scale, as a legend in numbers.
// The colours of the map itself are the server's.

import { el } from "./dom.js";

/** Where the colours end, in logits. */
export const LIMIT = 30;

/** Colours from -LIMIT to +LIMIT in even steps, as the server draws them: red, green, blue. */
export const COLOURS = [
  [5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240],
  [247, 247, 247],
  [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31],
];

const DRAWN = 240; // pixels of the bar

/** The legend of one finding's map: a bar over middle grey, numbers, and words. */
export function legend(finding) {
  const bar = el("canvas", { width: DRAWN, height: 1, class: "bar-colours", "aria-hidden": "true" });
  const context = bar.getContext("2d");
  for (let x = 0; x < DRAWN; x += 1) {
    const share = (2 * (x + 0.5)) / DRAWN - 1;
    const [red, green, blue] = colour(share);
    context.fillStyle = `rgba(${red}, ${green}, ${blue}, ${strength(share)})`;
    context.fillRect(x, 0, 1, 1);
  }
  return el("div", { class: "legend-inside" },
    el("div", { class: "bar-part" },
      bar,
      el("div", { class: "bar-numbers" }, [`≤ −${LIMIT}`, `−${LIMIT / 2}`, "0", `+${LIMIT / 2}`, `≥ +${LIMIT}`].map((n) => el("span", {}, n))),
    ),
    el("p", {}, el("b", {}, "Blue"), ` speaks against ${finding}, `, el("b", {}, "red"), " for it. The number is the logit that the whole film would have, were all of it like this place. The scale is the same for every film. Darkened: not seen by the classifier."),
  );
}

/** The colour at share -1 to 1 of LIMIT, between those of the list. */
export function colour(share) {
  const place = ((share + 1) / 2) * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  return [0, 1, 2].map((k) => Math.round(COLOURS[low][k] + (place - low) * (COLOURS[low + 1][k] - COLOURS[low][k])));
}

/** How strongly it is laid over the film: nought is clear. */
export function strength(share) {
  return 0.65 * Math.abs(share) ** 0.7;
}
