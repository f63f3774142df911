// Owns making elements from data. Text is only ever set as text, so nothing that is shown can be run.
// What is made of it is left to the modules that show something.

const SVG = "http://www.w3.org/2000/svg";

/** A new element. attributes: names to values, null or false leaves one out; children: elements, text, null. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element with this id. */
export function at(id) {
  return document.getElementById(id);
}

/** A drawing of the page's sprite, which says nothing to a screen reader: words stand beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Say something to screen readers without moving anybody's place. */
export function say(words) {
  at("said").textContent = words;
}

/** Show a dialog and wait for the value of the button that closes it; "" when it is dismissed. */
export function asked(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

/** Hand a file to the browser to save. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = el("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
