/** Sets how a map is painted, and shows the legend of its colours. */

import { element } from "../page/elements.js";
import { heatLayer } from "./heat.js";
import { percent, unitOf } from "../page/formats.js";
import { legend, mapControls as words } from "./strings.js";

/** How a map is painted until the reader says otherwise; see `MapControls`. */
export const PLAIN_LOOK = {
  opacity: 0.5,
  threshold: 0,
  colourMap: "inferno",
  signed: false,
  raw: false,
  outline: null,
  lungs: false,
};

const OUTLINE_LEVEL = 0.5;
const LEGEND_STEPS = 256;

/**
 * Controls in a container. A look is {opacity, threshold, colourMap, signed, raw, outline, lungs}:
 * the first two in [0, 1], the name of a colour map, two booleans; `outline` is null or a level, which
 * is a share of full colour as the threshold is; `lungs` says whether their outline is drawn.
 */
export class MapControls {
  #colourMaps;
  #parts;
  #chosen = {};
  #evidenceScale = 1;
  #unit = unitOf("grad_cam");
  #isGroup = false;

  /**
   * Takes what `GET /v1/colour-maps` lists; `onChange(look)` is called when the reader changes
   * something.
   */
  constructor(container, { colourMaps, onChange }) {
    this.#colourMaps = colourMaps;
    for (const { kind, name } of colourMaps) this.#chosen[kind] ??= name;
    this.#parts = parts();
    const { all, colourMap } = this.#parts;
    container.append(all);
    colourMap.addEventListener("input", () => this.#choose(colourMap.value));
    all.addEventListener("input", () => {
      this.#repaint();
      onChange(this.look);
    });
    this.look = PLAIN_LOOK;
  }

  /**
   * Says which model's map is painted; `grid` is [rows, columns] of its evidence, `hasLungs` whether
   * the model outlined the lungs, `isGroup` whether the map is that of a group of classes.
   */
  show({ evidenceScale, method, grid: [rows, columns], enabled, hasLungs = false, isGroup = false }) {
    this.#evidenceScale = evidenceScale;
    this.#unit = unitOf(method);
    this.#isGroup = isGroup;
    this.#parts.lungsTick.hidden = !hasLungs;
    this.#parts.all.disabled = !enabled;
    this.#parts.rawWords.textContent = words.raw(rows, columns);
    this.#repaint();
  }

  get look() {
    const { opacity, threshold, signed, raw, outlined, outline, lungs } = this.#parts;
    return {
      opacity: share(opacity),
      threshold: share(threshold),
      colourMap: this.#chosen[signed.checked ? "diverging" : "sequential"],
      signed: signed.checked,
      raw: raw.checked,
      outline: outlined.checked ? share(outline) : null,
      lungs: lungs.checked,
    };
  }

  /** Sets some or all of a look, without `onChange`; an unknown colour map is passed over. */
  set look(look) {
    const { opacity, threshold, signed, raw, outlined, outline, lungs } = this.#parts;
    const wanted = { ...this.look, ...look };
    opacity.value = 100 * wanted.opacity;
    threshold.value = 100 * wanted.threshold;
    signed.checked = wanted.signed;
    raw.checked = wanted.raw;
    outlined.checked = wanted.outline !== null;
    outline.value = 100 * (wanted.outline ?? OUTLINE_LEVEL);
    lungs.checked = wanted.lungs;
    this.#choose(wanted.colourMap);
    this.#repaint();
  }

  #choose(name) {
    const known = this.#colourMaps.find((one) => one.name === name);
    if (known) this.#chosen[known.kind] = name;
  }

  #repaint() {
    const { opacity, threshold, outlined, outline } = this.#parts;
    const { look } = this;
    say(opacity, percent(look.opacity));
    say(threshold, look.threshold ? words.below(look.threshold) : words.allShown);
    say(outline, words.level(share(outline)));
    outline.disabled = !outlined.checked;
    this.#offerColourMaps(look);
    this.#paintLegend(look);
  }

  /** Offers the colour maps that suit the view: diverging ones for the signed one. */
  #offerColourMaps({ colourMap, signed }) {
    const { colourMap: select, swatch } = this.#parts;
    const kind = signed ? "diverging" : "sequential";
    const names = this.#colourMaps.filter((one) => one.kind === kind).map(({ name }) => name);
    const offered = Array.from(select.options, ({ value }) => value);
    if (names.join() !== offered.join()) {
      const options = names.map((name) => new Option(words.colourMaps[name] ?? name, name));
      select.replaceChildren(...options);
    }
    select.value = colourMap;
    paintRamp(swatch, { colours: this.#coloursOf(colourMap), signed, opaque: true });
  }

  #paintLegend({ colourMap, opacity, threshold, signed }) {
    const { bar, ends, sentence } = this.#parts;
    paintRamp(bar, { colours: this.#coloursOf(colourMap), signed, threshold });
    bar.style.setProperty("opacity", opacity);
    const said = legend.ends(this.#evidenceScale, signed);
    ends.forEach((end, place) => (end.textContent = said[place]));
    sentence.textContent = legend.words(this.#evidenceScale, signed, this.#unit, this.#isGroup);
  }

  #coloursOf(name) {
    return this.#colourMaps.find((one) => one.name === name).rgb;
  }
}

function share(slider) {
  return slider.valueAsNumber / 100;
}

/** Says a slider's value beside it and to a screen reader. */
function say(slider, value) {
  slider.ariaValueText = value;
  slider.parentElement.querySelector("output").textContent = value;
}

/** Paints all heats, least at the left, as a layer paints them; `opaque` shows the bare colours. */
function paintRamp(canvas, { colours, signed, threshold, opaque = false }) {
  const least = signed ? -1 : 0;
  const heats = Array.from({ length: LEGEND_STEPS }, (_, step) => {
    return least + ((1 - least) * step) / (LEGEND_STEPS - 1);
  });
  const options = { evidenceScale: 1, colours, signed, threshold, raw: true, pixelsPerCell: 1 };
  const picture = heatLayer([heats], options);
  if (opaque) for (let at = 3; at < picture.data.length; at += 4) picture.data[at] = 255;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Returns the elements that hold the look or are changed with it, put together in `all`. */
function parts() {
  const made = {
    opacity: range("map-opacity", { min: 0, max: 100 }),
    threshold: range("map-threshold", { min: 0, max: 100 }),
    outline: range("map-outline", { min: 5, max: 95, ariaLabel: words.outlineLevel }),
    signed: checkbox(),
    raw: checkbox(),
    outlined: checkbox(),
    lungs: checkbox(),
    rawWords: element("span"),
    colourMap: element("select", { id: "map-colours" }),
    swatch: ramp(),
    bar: ramp(),
    ends: ["", "", ""].map(() => element("span")),
    sentence: element("p", { className: "hint" }),
  };
  const lungsTick = Object.assign(ticked(made.lungs, words.lungs), { hidden: true });
  return { ...made, lungsTick, all: arranged({ ...made, lungsTick }) };
}

function arranged({ opacity, threshold, outline, signed, raw, outlined, rawWords, ...rest }) {
  const { colourMap, swatch, bar, ends, sentence, lungsTick } = rest;
  return element("fieldset", { className: "map-controls" }, [
    element("legend", { textContent: words.heading }),
    row(label(opacity, words.opacity), output(opacity), opacity),
    row(label(threshold, words.threshold), output(threshold), threshold),
    row(label(colourMap, words.colours), colourMap, swatch),
    ticked(signed, words.signed),
    ticked(raw, rawWords),
    row(ticked(outlined, words.outlined), output(outline), outline),
    lungsTick,
    element("div", { className: "map-legend" }, [bar]),
    element("p", { className: "legend-ends" }, ends),
    sentence,
  ]);
}

function range(id, properties) {
  return element("input", { id, type: "range", step: 1, ...properties });
}

function checkbox() {
  return element("input", { type: "checkbox" });
}

function ramp() {
  return element("canvas", { width: LEGEND_STEPS, height: 1, ariaHidden: "true" });
}

function row(...children) {
  return element("div", { className: "map-control" }, children);
}

function label({ id }, textContent) {
  return element("label", { htmlFor: id, textContent });
}

function output({ id }) {
  const made = element("output", { ariaLive: "off" });
  made.htmlFor = id;
  return made;
}

function ticked(box, said) {
  return element("label", { className: "map-tick" }, [box, said]);
}
