// Owns how films come in: dropped anywhere, chosen, pasted; several, and folders of them.
// Whether a file is a film is the server's to say; here only what no server reads is left out.

import { at } from "./dom.js";

const NO_FILM = /^(\.|thumbs\.db$|desktop\.ini$|dicomdir$)/i;

/** take: called with a list of files. */
export function takeFilms(take) {
  const chooser = at("files");
  for (const button of document.querySelectorAll("[data-add]")) button.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    hand([...chooser.files], take);
    chooser.value = ""; // so that the same film can be chosen again
  });
  window.addEventListener("paste", (event) => hand([...(event.clipboardData?.files ?? [])], take));
  whereDropped(take);
}

function hand(files, take) {
  const films = files.filter((file) => !NO_FILM.test(file.name));
  if (films.length > 0) take(films);
}

function whereDropped(take) {
  const cover = at("drop-here");
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // each element under the mouse says that it is entered and left
  const coverIf = (over) => {
    depth = over ? depth + 1 : Math.max(0, depth - 1);
    cover.hidden = depth === 0;
  };
  window.addEventListener("dragenter", (event) => brings(event) && coverIf(true));
  window.addEventListener("dragleave", (event) => brings(event) && coverIf(false));
  window.addEventListener("dragover", (event) => {
    if (brings(event)) event.preventDefault();
  });
  window.addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    hand(await dropped(event.dataTransfer), take);
  });
}

/** The files of a drop, those in folders too, in the order of their names. */
async function dropped(transfer) {
  // Entries must be asked for before anything is waited for: the drop is over then.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  const files = [];
  for (const entry of entries) files.push(...(await within(entry)));
  return files;
}

async function within(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const entries = [];
  for (;;) {
    // A reader tells a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    entries.push(...some);
  }
  entries.sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
  const files = [];
  for (const each of entries) files.push(...(await within(each)));
  return files;
}
