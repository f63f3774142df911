// Owns what mouse, pen, fingers and the canvas's own keys do to the viewer.
// Keys that work everywhere on the page are left to `keys`.

const STEP = 8; // grey values a key press
const MOVE = 40; // CSS pixels a key press
export const LARGER = 1.25;

/** What a drag does: "window" or "pan". */
export class Gestures {
  constructor(viewer) {
    this.viewer = viewer;
    this.tool = "window";
    this.fingers = new Map();
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.fingers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => viewer.fit());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  down(event) {
    this.viewer.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY, pan: event.button !== 0 || event.shiftKey });
  }

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.offsetX, y: event.offsetY, pan: before.pan };
    if (this.fingers.size === 2) this.pinch(event.pointerId, before, now);
    else if (this.fingers.size === 1) this.drag(before, now);
    this.fingers.set(event.pointerId, now);
  }

  drag(before, now) {
    const right = now.x - before.x;
    const down = now.y - before.y;
    if (this.tool === "pan" || now.pan) this.viewer.panBy(right, down);
    // As at a workstation: to the right for a wider window, up for a brighter film.
    else this.viewer.setWindow(this.viewer.centre + down, this.viewer.width + right);
  }

  pinch(id, before, now) {
    const [other] = [...this.fingers].filter(([key]) => key !== id).map(([, place]) => place);
    const apart = (place) => Math.max(1, Math.hypot(place.x - other.x, place.y - other.y));
    this.viewer.zoomBy(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    this.viewer.panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0015; // a pinch on a touch pad comes as a slow wheel with Ctrl
    this.viewer.zoomBy(Math.exp(-event.deltaY * lines * speed), { x: event.offsetX, y: event.offsetY });
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [right, down] = way;
    const { viewer } = this;
    if (event.shiftKey) viewer.setWindow(viewer.centre + down * STEP, viewer.width + right * STEP);
    else viewer.panBy(-right * MOVE, -down * MOVE);
  }
}
