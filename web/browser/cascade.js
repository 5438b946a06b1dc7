/**
 * Every pass of the model over a photo: the full view, then tiles or zooms where it is needed, combined.
 *
 * The plan is the manifest's, and each step is that of `cat_model/cascade.py`, which says why it is made.
 *
 * @typedef {import("./photo.js").Picture} Picture
 * @typedef {import("./runtime.js").Outputs} Outputs
 * @typedef {import("./runtime.js").Map2d} Map2d
 * @typedef {import("./verdict.js").Threshold} Threshold
 *
 * @typedef {[left: number, top: number, right: number, bottom: number]} Part
 *   Of a photo, as fractions of its width and height.
 *
 * @typedef {object} Combination A linear combination of passes' logits.
 * @property {Record<string, number>} weights by the names of the passes.
 * @property {number} bias summand.
 *
 * @typedef {object} Tiles Five overlapping tiles, where the full view is ambiguous.
 * @property {"tiles"} kind
 * @property {number} low probability of the full view from which tiles are seen, 0 to 1.
 * @property {number} high probability from which they are not.
 * @property {number} tile fraction of each side of the photo that a tile takes, above 0 to 1.
 * @property {Combination} combination
 *
 * @typedef {object} Search The thorough search: a grid of views, and a zoom within the strongest one.
 * @property {number} bound logit of the full view above which it is made.
 * @property {number} grid views along each side.
 * @property {number} side fraction of the photo's side that a view takes.
 * @property {number} inner fraction that the zoom within the strongest one takes.
 * @property {Combination[]} combinations what may be larger than the quick answer's; the largest counts.
 * @property {Threshold} threshold its own.
 *
 * @typedef {object} Zooms Zooms at the peak of the cat map, unless the full view is sure.
 * @property {"zooms"} kind
 * @property {number} bound logit of the full view above which zooms are seen.
 * @property {number} ceiling logit of the full view from which they are not.
 * @property {number} innerBelow combined logit below which the zoom within a zoom is made.
 * @property {number[]} sides fractions of the photo's side that the zooms take; the first is the narrow one.
 * @property {number | null} inner fraction of a zoom at the peak of the narrow one's own map; null for none.
 * @property {Combination[]} combinations the largest one counts.
 * @property {Search | null} search
 *
 * @typedef {Tiles | Zooms | null} Plan
 *
 * @typedef {object} Pass What one pass over a photo, or a part of it, came to.
 * @property {Part} part
 * @property {number} probability that this part shows a cat, 0 to 1, as the model gave it.
 * @property {number} logit of the probability.
 * @property {Map2d} share the attribution of each cell; they sum to the logit.
 * @property {Float32Array} embedding
 * @property {[x: number, y: number] | null} peak the cat map's highest cell, as fractions of the photo.
 *
 * @typedef {object} Answer What all passes over one photo came to.
 * @property {number} logit of the verdict.
 * @property {number} probability that the photo shows a cat, 0 to 1.
 * @property {Record<string, Pass>} passes by their names; the full view is always there.
 * @property {Combination} combination that the logit comes from.
 *
 * @typedef {object} Seer What a cascade needs of a runtime.
 * @property {number} side pixels of each side of what the model is shown.
 * @property {(pixels: Uint8Array) => Promise<Outputs>} run
 */

import { resize } from "./photo.js";
import { logit, sigmoid } from "./verdict.js";

/** @type {Part} */
export const WHOLE = [0, 0, 1, 1];
/** Pixels of the shorter side that photos are decoded with at least, where zooms are cut from them. */
const SHARP = 1024;
/** Names of passes, as in manifests. */
export const FULL = "full";
const [TILE, ZOOM, NARROW, INNER, GRID, GRID_INNER] = ["tile", "zoom", "narrow", "inner", "grid", "grid_inner"];

/** @type {Combination} The full view as it is. */
const ALONE = { weights: { [FULL]: 1 }, bias: 0 };

/** A cascade cannot be used; the message says why. */
export class CascadeError extends Error {}

/**
 * Read the plan of a manifest.
 *
 * @param {any} manifest
 * @returns {Plan}
 * @throws {CascadeError} the values are out of order.
 */
export function plan(manifest) {
  if (manifest.cascade) return zooms(manifest.cascade);
  return manifest.second_look ? tiled(manifest.second_look) : null;
}

/**
 * @param {any} stored
 * @returns {Tiles}
 */
function tiled(stored) {
  const { low, high, tile, first, strongest, bias } = stored;
  if (!(low >= 0 && low < high && high <= 1 && tile > 0 && tile <= 1)) {
    throw new CascadeError("the second look is out of order");
  }
  return { kind: "tiles", low, high, tile, combination: { weights: { [FULL]: first, [TILE]: strongest }, bias } };
}

/**
 * @param {any} stored
 * @returns {Zooms}
 */
function zooms(stored) {
  const { thorough } = stored;
  const made = /** @type {Zooms} */ ({
    kind: "zooms",
    bound: stored.bound,
    ceiling: stored.ceiling,
    innerBelow: stored.inner_below,
    sides: stored.zooms,
    inner: stored.inner,
    combinations: stored.quick.combinations,
    search: thorough && {
      bound: thorough.bound,
      grid: thorough.grid,
      side: thorough.side,
      inner: thorough.inner,
      combinations: thorough.combinations,
      threshold: { cat: thorough.threshold, unsure: thorough.unsure },
    },
  });
  const { search } = made;
  const sides = [...made.sides, ...(made.inner ? [made.inner] : []), ...(search ? [search.side, search.inner] : [])];
  const possible = [FULL, ZOOM, NARROW, ...(made.inner ? [INNER] : [])];
  if (made.combinations.every((each) => INNER in each.weights)) {
    throw new CascadeError("every combination needs the zoom within a zoom");
  }
  if (!made.sides.length || !sides.every((side) => side > 0 && side <= 1)) {
    throw new CascadeError("the sides of its zooms are out of order");
  }
  const names = made.combinations.flatMap((each) => Object.keys(each.weights));
  if (!names.every((name) => possible.includes(name)) || (search && !(search.grid > 0))) {
    throw new CascadeError(`its combinations name ${names}`);
  }
  return made;
}

/** Runs the passes of one model. */
export class Cascade {
  /**
   * @param {Seer} runtime
   * @param {Plan} plan how the passes after the first are chosen and combined; null for the full view alone.
   */
  constructor(runtime, plan) {
    this.runtime = runtime;
    this.plan = plan;
  }

  /** The thorough search; null if the model has none. */
  get search() {
    return this.plan?.kind === "zooms" ? this.plan.search : null;
  }

  /** Pixels of the shorter side that a photo should be decoded with, so that every pass is sharp. */
  get decodedSide() {
    return this.plan?.kind === "zooms" ? SHARP : 2 * this.runtime.side;
  }

  /**
   * Look at a picture.
   *
   * @param {Picture} picture
   * @param {boolean} [thorough] whether to search every part of it, if the model knows how.
   * @returns {Promise<Answer>}
   */
  async answer(picture, thorough = false) {
    const search = thorough ? this.search : null;
    return combine(await this.#collect(picture, search), this.plan, search);
  }

  /**
   * @param {Picture} picture
   * @param {Search | null} search
   * @returns {Promise<Record<string, Pass>>}
   */
  async #collect(picture, search) {
    const { plan } = this;
    /** @type {Record<string, Pass>} */
    const found = { [FULL]: await this.#see(picture, WHOLE) };
    const full = found[FULL];
    if (plan?.kind === "tiles" && ambiguous(full, plan)) {
      found[TILE] = await this.#strongest(picture, tiles(plan.tile));
    } else if (plan?.kind === "zooms") {
      if (needsZooms(full, plan)) {
        const seen = [];
        for (const side of plan.sides) seen.push(await this.#see(picture, around(peakOf(full), side)));
        found[NARROW] = seen[0];
        found[ZOOM] = strongest(seen);
        if (plan.inner && needsInner(found, plan)) {
          found[INNER] = await this.#see(picture, around(peakOf(found[NARROW]), plan.inner));
        }
      }
      if (search && full.logit > search.bound) {
        found[GRID] = await this.#strongest(picture, grid(search.grid, search.side));
        found[GRID_INNER] = await this.#see(picture, around(peakOf(found[GRID]), search.inner));
      }
    }
    return found;
  }

  /**
   * @param {Picture} picture
   * @param {Part[]} parts
   */
  async #strongest(picture, parts) {
    const seen = [];
    for (const part of parts) seen.push(await this.#see(picture, part));
    return strongest(seen);
  }

  /**
   * Run the model on a part of a picture.
   *
   * @param {Picture} picture
   * @param {Part} part
   * @returns {Promise<Pass>}
   */
  async #see(picture, part) {
    const said = await this.runtime.run(cut(picture, this.runtime.side, part));
    return {
      part,
      probability: said.probability,
      logit: logit(said.probability),
      share: said.share,
      embedding: said.embedding,
      peak: said.catMap && peak(said.catMap, part),
    };
  }
}

/**
 * Combine the logits of the passes over a photo.
 *
 * @param {Record<string, Pass>} passes
 * @param {Plan} plan
 * @param {Search | null} search
 * @returns {Answer}
 */
export function combine(passes, plan, search) {
  let best = quick(passes, plan);
  if (search && passes[GRID] && passes[FULL].logit > search.bound) {
    best = largest([best, ...search.combinations], passes);
  }
  const value = combined(best, passes);
  const alone = best.bias === 0 && best.weights[FULL] === 1 && Object.keys(best.weights).length === 1;
  const probability = alone ? passes[FULL].probability : sigmoid(value);
  return { logit: value, probability, passes, combination: best };
}

/**
 * Return the part that was looked at closest of those that count; null without zooms.
 *
 * @param {Answer} answer
 * @returns {Part | null}
 */
export function closer({ passes, combination }) {
  const zoomed = Object.keys(combination.weights)
    .map((name) => passes[name])
    .filter((each) => `${each.part}` !== `${WHOLE}` && each.peak)
    .map((each) => each.part);
  return zoomed.reduce(
    (least, part) => (!least || part[2] - part[0] < least[2] - least[0] ? part : least),
    /** @type {Part | null} */ (null),
  );
}

/**
 * @param {Record<string, Pass>} passes
 * @param {Plan} plan
 * @returns {Combination}
 */
function quick(passes, plan) {
  if (plan?.kind === "tiles" && passes[TILE]) return plan.combination;
  if (plan?.kind !== "zooms" || !needsZooms(passes[FULL], plan)) return ALONE;
  const best = withoutInner(passes, plan);
  if (plan.inner && combined(best, passes) < plan.innerBelow) {
    const possible = plan.combinations.filter((each) => Object.keys(each.weights).every((name) => name in passes));
    return largest(possible, passes);
  }
  return best;
}

/**
 * @param {Record<string, Pass>} passes
 * @param {Zooms} plan
 */
function withoutInner(passes, plan) {
  return largest(
    plan.combinations.filter((each) => !(INNER in each.weights)),
    passes,
  );
}

/**
 * @param {Combination[]} combinations
 * @param {Record<string, Pass>} passes
 */
function largest(combinations, passes) {
  return combinations.reduce((best, each) => (combined(each, passes) > combined(best, passes) ? each : best));
}

/**
 * @param {Combination} combination
 * @param {Record<string, Pass>} passes
 */
function combined({ weights, bias }, passes) {
  return bias + Object.entries(weights).reduce((sum, [name, weight]) => sum + weight * passes[name].logit, 0);
}

/** @param {Pass[]} seen */
function strongest(seen) {
  return seen.reduce((best, each) => (each.logit > best.logit ? each : best));
}

/**
 * @param {Pass} full
 * @param {Tiles} plan
 */
function ambiguous({ probability }, plan) {
  return plan.low <= probability && probability < plan.high;
}

/**
 * @param {Pass} full
 * @param {Zooms} plan
 */
function needsZooms(full, plan) {
  return plan.bound < full.logit && full.logit < plan.ceiling;
}

/**
 * @param {Record<string, Pass>} passes
 * @param {Zooms} plan
 */
function needsInner(passes, plan) {
  return combined(withoutInner(passes, plan), passes) < plan.innerBelow;
}

/** @param {Pass} seen */
function peakOf({ peak }) {
  if (!peak) throw new CascadeError("the model has no cat map, which zooms need");
  return peak;
}

/**
 * Return what the model is shown of a picture or a part of it.
 *
 * @param {Picture} picture
 * @param {number} side pixels.
 * @param {Part} part
 * @returns {Uint8Array} side × side × 3, RGB.
 */
export function cut(picture, side, part) {
  const [left, top, right, bottom] = part;
  const { width, height } = picture;
  return resize(picture, side, [left * width, top * height, right * width, bottom * height]);
}

/**
 * Return the middle of a map's highest cell, as fractions of the photo.
 *
 * @param {Map2d} catMap of a part of the photo.
 * @param {Part} part which.
 * @returns {[x: number, y: number]}
 */
export function peak({ height, width, data }, [left, top, right, bottom]) {
  let best = 0;
  for (let cell = 1; cell < data.length; cell++) if (data[cell] > data[best]) best = cell;
  const x = ((best % width) + 0.5) / width;
  const y = (Math.floor(best / width) + 0.5) / height;
  return [left + x * (right - left), top + y * (bottom - top)];
}

/**
 * Return a part of a side around a place, moved so that it lies inside the photo.
 *
 * @param {[x: number, y: number]} place
 * @param {number} side
 * @returns {Part}
 */
export function around(place, side) {
  const [left, top] = place.map((at) => Math.min(Math.max(at - side / 2, 0), 1 - side));
  return [left, top, left + side, top + side];
}

/**
 * Return five overlapping tiles of a side: one in each corner, then one in the middle.
 *
 * @param {number} tile
 * @returns {Part[]}
 */
export function tiles(tile) {
  const rest = 1 - tile;
  const corners = [0, rest].flatMap((x) => [0, rest].map((y) => [x, y]));
  return [...corners, [rest / 2, rest / 2]].map(([x, y]) => [x, y, x + tile, y + tile]);
}

/**
 * Return count × count views of a side, evenly spread over the photo.
 *
 * @param {number} count
 * @param {number} side
 * @returns {Part[]}
 */
export function grid(count, side) {
  const step = count > 1 ? (1 - side) / (count - 1) : 0;
  const starts = Array.from({ length: count }, (_, i) => (i && i === count - 1 ? 1 - side : i * step));
  return starts.flatMap((y) => starts.map((x) => /** @type {Part} */ ([x, y, x + side, y + side])));
}
