// Owns showing a model card: the little of Markdown that cards hold, as elements, never as HTML.
// Whatever else stands there is shown as the text that it is.

import { el } from "./dom.js";

/** text: Markdown; level: of the heading that `#` becomes. Returns elements. */
export function markdown(text, level) {
  const read = text.replaceAll("\r", "").replace(/^---\n[^]*?\n---\n/, ""); // what is for machines
  const blocks = read.split(/\n{2,}/).map((block) => block.split("\n").filter((line) => line.trim() !== "")).filter((lines) => lines.length > 0);
  return blocks.flatMap((lines) => blockOf(lines, level));
}

function blockOf(lines, level) {
  const heading = /^(#{1,4})\s+(.*)$/.exec(lines[0]);
  if (heading) {
    const tag = `h${Math.min(level + heading[1].length - 1, 6)}`;
    return [el(tag, {}, inline(heading[2])), ...(lines.length > 1 ? blockOf(lines.slice(1), level) : [])];
  }
  if (lines.length > 1 && lines[0].startsWith("|") && /^\|[\s:|-]+\|?$/.test(lines[1])) return [tableOf(lines)];
  if (/^\s*[-*]\s/.test(lines[0]) && lines.every((line) => /^\s*[-*]\s|^\s{2,}/.test(line))) return [listOf(lines)];
  const list = lines.findIndex((line) => /^[-*]\s/.test(line));
  if (list > 0) return [...blockOf(lines.slice(0, list), level), ...blockOf(lines.slice(list), level)];
  return [el("p", {}, inline(lines.join(" ")))];
}

function listOf(lines) {
  const items = [];
  for (const line of lines) {
    const item = /^\s*[-*]\s+(.*)$/.exec(line);
    if (item) items.push(item[1]);
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return el("ul", {}, items.map((item) => el("li", {}, inline(item))));
}

function tableOf(lines) {
  const [head, , ...body] = lines.map(cells);
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Table: ${head.join(", ")}` },
    el("table", {},
      el("thead", {}, el("tr", {}, head.map((words) => el("th", { scope: "col" }, inline(words))))),
      el("tbody", {}, body.map((row) => el("tr", {}, row.map((words, k) => (k === 0 ? el("th", { scope: "row" }, inline(words)) : el("td", {}, inline(words))))))),
    ));
}

function cells(line) {
  return line.replace(/^\|/, "").replace(/\|\s*$/, "").split(/(?<!\\)\|/).map((words) => words.trim().replaceAll("\\|", "|"));
}

// Bold and code; an address stays text.
function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).filter((part) => part !== "").map((part) => {
    if (part.startsWith("**") && part.endsWith("**") && part.length > 4) return el("b", {}, part.slice(2, -2));
    if (part.startsWith("`") && part.endsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    return part.replace(/^\[ \] /, "☐ ").replace(/\\([\\`*[\]|])/g, "$1").replaceAll("&lt;", "<").replaceAll("&amp;", "&");
  });
}
