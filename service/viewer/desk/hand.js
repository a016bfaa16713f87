/** Turns pointer events on a film into zoom, pan, window and mask: wheel, drag, two fingers. */

const WHEEL_STEP = 1.0015;
const LINE_PIXELS = 16;
/** A drag that is shorter, in CSS pixels, is a click and draws no rectangle. */
const CLICK_PIXELS = 4;

/**
 * Listens to a FilmView's canvas.
 *
 * `tool()` returns "pan", "window" or "mask". `onPan([right, down])` gets canvas pixels,
 * `onZoom(factor, point)` a canvas point, `onWindow([right, down])` shares of the canvas,
 * `onMask(from, to, {finished})` film points (`onMask(null)`: the drag is given up), `onHover(event)` a
 * pointer event or null.
 * The right button is always for the window, the middle one for panning.
 */
export class Hand {
  #view;
  #tool;
  #on;
  #fingers = new Map();
  #drag = null;

  constructor(view, { tool, ...on }) {
    this.#view = view;
    this.#tool = tool;
    this.#on = on;
    const { canvas } = view;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("pointerleave", () => this.#on.onHover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1);
    this.#on.onZoom(WHEEL_STEP ** -pixels, this.#view.canvasPoint(event));
  }

  #down(event) {
    if (!this.#view.scene.film) return;
    this.#view.canvas.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, event);
    const tool = ["", "pan", "window"][event.button] || this.#tool();
    this.#drag = { tool, down: event, from: this.#view.filmPoint(event) };
  }

  #move(event) {
    this.#on.onHover(event);
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    if (this.#fingers.size === 2) this.#pinch(event);
    else this.#dragged(before, event);
    this.#fingers.set(event.pointerId, event);
  }

  #dragged(before, event) {
    const [x, y] = this.#view.canvasPoint(event);
    const [fromX, fromY] = this.#view.canvasPoint(before);
    const { width, height } = this.#view.canvas;
    const { tool } = this.#drag;
    if (tool === "pan") this.#on.onPan([x - fromX, y - fromY]);
    if (tool === "window") this.#on.onWindow([(x - fromX) / width, (y - fromY) / height]);
    if (tool === "mask") this.#draw(event, { finished: false });
  }

  #draw(event, state) {
    const { down, from } = this.#drag;
    const far = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
    if (far < CLICK_PIXELS) this.#on.onMask(null);
    else this.#on.onMask(from, this.#view.filmPoint(event), state);
  }

  #pinch(event) {
    const [one, other] = [...this.#fingers.values()].map((each) => this.#view.canvasPoint(each));
    this.#fingers.set(event.pointerId, event);
    const [now, still] = [...this.#fingers.values()].map((each) => this.#view.canvasPoint(each));
    const middle = ([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2];
    const length = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
    const [before, after] = [middle(one, other), middle(now, still)];
    this.#on.onPan([after[0] - before[0], after[1] - before[1]]);
    this.#on.onZoom(length(now, still) / Math.max(1, length(one, other)), after);
    this.#giveUp(); // a finger that stays does not go on with the tool
  }

  #up(event) {
    if (this.#fingers.delete(event.pointerId) && this.#drag.tool === "mask") {
      this.#draw(event, { finished: true });
    }
  }

  #cancel(event) {
    this.#fingers.delete(event.pointerId);
    if (this.#drag) this.#giveUp();
  }

  #giveUp() {
    if (this.#drag.tool === "mask") this.#on.onMask(null);
    this.#drag = { tool: "" };
  }
}
