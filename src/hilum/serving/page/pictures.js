// Owns what is drawn of films: the server's pictures and maps, a few of them kept, and thumbnails.
// Where they are drawn is left to `viewer` and `worklist`.

import { request } from "./api.js";
import { formOf } from "./batch.js";

const KEPT = 16; // pictures and maps, of at most a megabyte each
const THUMBNAIL = 72; // pixels a side, twice what is shown

/** Pictures of one server's films. */
export class Pictures {
  constructor() {
    this.kept = new Map();
    this.thumbnails = new Map();
  }

  /** The radiograph in grey, as a bitmap of at most 1,024 pixels a side. Throws Problem. */
  async film(film, signal) {
    return createImageBitmap(await this.blob(`film ${film.number}`, "v1/picture", formOf(film), signal));
  }

  /** The map of one finding, of the same shape as the picture. Throws Problem. */
  async map(film, finding, signal) {
    const form = formOf(film);
    form.append("finding", finding);
    return createImageBitmap(await this.blob(`map ${film.number} ${finding}`, "v1/explain", form, signal));
  }

  /** The address of a small picture of the film. Throws Problem. */
  async thumbnail(film, signal) {
    if (!this.thumbnails.has(film.number)) {
      const bitmap = await this.film(film, signal);
      const scale = Math.min(1, THUMBNAIL / Math.min(bitmap.width, bitmap.height));
      const canvas = new OffscreenCanvas(Math.ceil(bitmap.width * scale), Math.ceil(bitmap.height * scale));
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close();
      const small = await canvas.convertToBlob({ type: "image/png" });
      signal?.throwIfAborted();
      this.thumbnails.set(film.number, URL.createObjectURL(small));
    }
    return this.thumbnails.get(film.number);
  }

  clear() {
    this.kept.clear();
    for (const address of this.thumbnails.values()) URL.revokeObjectURL(address);
    this.thumbnails.clear();
  }

  async blob(key, path, body, signal) {
    const had = this.kept.get(key);
    const blob = had ?? (await (await request(path, { body, signal })).blob());
    signal?.throwIfAborted();
    this.kept.delete(key);
    this.kept.set(key, blob); // the last used stand last
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return blob;
  }
}
