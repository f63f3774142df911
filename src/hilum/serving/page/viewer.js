// Owns how a film is drawn: its greys through window and level, its place and size, and the map over it.
// Mouse, fingers and keys are left to `gestures`; which film it is, to `app`.

const LARGEST = 24; // times the size at which the film fits
const WHOLE = { centre: 127.5, width: 255 };

export class Viewer {
  /** canvas: where it is drawn; changed: called after each drawing */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.changed = changed;
    this.film = null; // canvas of the film after window and level
    this.map = null;
    this.opacity = 1;
    this.drawing = false;
    this.restart();
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** Show a film as the server drew it, or nothing. bitmap: grey, and closed here. */
  show(bitmap) {
    this.map?.close();
    this.map = null;
    this.film = null;
    this.restart();
    if (bitmap) {
      const { width, height } = bitmap;
      this.film = new OffscreenCanvas(width, height);
      this.paper = this.film.getContext("2d", { willReadFrequently: true });
      this.paper.drawImage(bitmap, 0, 0);
      bitmap.close();
      this.pixels = this.paper.getImageData(0, 0, width, height);
      this.greys = new Uint8Array(width * height);
      for (let i = 0; i < this.greys.length; i += 1) this.greys[i] = this.pixels.data[4 * i];
      this.fit();
    }
    this.draw();
  }

  /** Lay a map over the film, or take it away. bitmap: with transparency, and closed here. */
  showMap(bitmap) {
    this.map?.close();
    this.map = bitmap;
    this.draw();
  }

  /** opacity: share of the strength that the server gave the map, 0 to 1 */
  setOpacity(opacity) {
    this.opacity = opacity;
    this.draw();
  }

  /** centre: the grey value of the film that is shown as middle grey; width: greys from black to white */
  setWindow(centre, width) {
    this.centre = Math.min(Math.max(centre, 0), 255);
    this.width = Math.min(Math.max(width, 1), 510);
    this.stale = true;
    this.draw();
  }

  invert() {
    this.inverted = !this.inverted;
    this.stale = true;
    this.draw();
  }

  /** Greys and place as they were at first. */
  reset() {
    this.restart();
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.x = this.y = 0.5;
    this.draw();
  }

  /** factor: above 1 is larger; at: the place in the canvas, in CSS pixels, that stays where it is */
  zoomBy(factor, at = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 }) {
    if (!this.film) return;
    const before = this.frame();
    const spot = { x: (at.x - before.left) / before.width, y: (at.y - before.top) / before.height };
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), LARGEST);
    const after = this.frame();
    this.panBy(at.x - (after.left + spot.x * after.width), at.y - (after.top + spot.y * after.height));
  }

  /** Move the film by CSS pixels; its middle never leaves the canvas by more than the film fills. */
  panBy(right, down) {
    if (!this.film) return;
    const frame = this.frame();
    this.x = inside(this.x - right / frame.width, this.canvas.clientWidth / frame.width);
    this.y = inside(this.y - down / frame.height, this.canvas.clientHeight / frame.height);
    this.draw();
  }

  /** Where the film lies in the canvas, in CSS pixels. (x, y): the point of the film in its middle. */
  frame() {
    const { clientWidth, clientHeight } = this.canvas;
    const fits = Math.min(clientWidth / this.film.width, clientHeight / this.film.height);
    const width = this.film.width * fits * this.zoom;
    const height = this.film.height * fits * this.zoom;
    return { left: clientWidth / 2 - this.x * width, top: clientHeight / 2 - this.y * height, width, height };
  }

  restart() {
    this.centre = WHOLE.centre;
    this.width = WHOLE.width;
    this.inverted = false;
    this.stale = true;
    this.zoom = 1;
    this.x = this.y = 0.5;
  }

  resize() {
    const sharp = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * sharp));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * sharp));
    this.paint(); // at once: a canvas of a new size is empty
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.drawing = false;
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.film) {
      if (this.stale) this.develop();
      const sharp = canvas.width / Math.max(1, canvas.clientWidth);
      context.setTransform(sharp, 0, 0, sharp, 0, 0);
      context.imageSmoothingQuality = "high";
      const { left, top, width, height } = this.frame();
      context.globalAlpha = 1;
      context.drawImage(this.film, left, top, width, height);
      if (this.map && this.opacity > 0) {
        context.globalAlpha = this.opacity;
        context.drawImage(this.map, left, top, width, height);
      }
    }
    this.changed(this);
  }

  /** Put the film's greys through window and level. */
  develop() {
    const shown = new Uint8ClampedArray(256);
    const black = this.centre - this.width / 2;
    for (let grey = 0; grey < 256; grey += 1) {
      const bright = (255 * (grey - black)) / this.width;
      shown[grey] = this.inverted ? 255 - bright : bright;
    }
    const { data } = this.pixels;
    for (let i = 0; i < this.greys.length; i += 1) {
      data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = shown[this.greys[i]];
    }
    this.paper.putImageData(this.pixels, 0, 0);
    this.stale = false;
  }
}

/** A share of the film for the middle of the canvas, so that no empty ground is shown without need.
 *  seen: the canvas's side as a share of the film's. */
function inside(share, seen) {
  if (seen >= 1) return 0.5;
  return Math.min(Math.max(share, seen / 2), 1 - seen / 2);
}
