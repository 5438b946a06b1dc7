/**
 * Where an answer comes from: values for the squares of a grid over the photo, and their colours. The numbers
 * are those of `cat_model/explain` at no further run of the model.
 *
 * @typedef {import("./cascade.js").Part} Part
 * @typedef {import("./runtime.js").Map2d} Map2d
 */

import { weights } from "./photo.js";

/** Squares along each side of a photo, whatever the model's side and cells. */
export const GRID = 14;
/** Pixels of `heat` for each square: enough for a browser to stretch them softly. */
export const FINE = 8;
/** Orange speaks for a cat, blue against: two colours that people who see few colours tell apart. */
const FOR = [230, 97, 1];
const AGAINST = [33, 102, 172];
/** Values below this share of the largest are left transparent: they hardly matter. */
const FAINT = 0.12;
/** Opacity of the largest value at full strength. */
const DENSEST = 0.78;
/** @type {CanvasRenderingContext2D | null} What the colours are put on before they are stretched: one for all. */
let brush = null;

/**
 * Return what each square of the photo adds to the logit, top row first.
 *
 * @param {Pick<import("./cascade.js").Answer, "passes" | "combination">} answer
 * @returns {Float64Array} GRID × GRID, in logits; with the combination's bias they sum to the answer's logit.
 */
export function values({ passes, combination }) {
  const sum = new Float64Array(GRID * GRID);
  for (const [name, weight] of Object.entries(combination.weights)) {
    spread(passes[name].share, passes[name].part).forEach((value, index) => {
      sum[index] += weight * value;
    });
  }
  return sum;
}

/**
 * Spread the attributions of a pass softly over the squares of the photo; their sum stays what it was.
 *
 * @param {Map2d} share
 * @param {Part} part that the pass saw.
 * @returns {Float64Array} GRID × GRID.
 */
export function spread(share, [left, top, right, bottom]) {
  const down = soft(share.height, top, bottom);
  const across = soft(share.width, left, right);
  const found = new Float64Array(GRID * GRID);
  for (let row = 0; row < share.height; row++) {
    for (let column = 0; column < share.width; column++) {
      const value = share.data[row * share.width + column];
      for (let y = 0; y < GRID; y++) {
        const there = value * down[y * share.height + row];
        for (let x = 0; x < GRID; x++) found[y * GRID + x] += there * across[x * share.width + column];
      }
    }
  }
  return found;
}

/**
 * Return the weights by which cells between two places go to squares.
 *
 * @param {number} cells
 * @param {number} low 0 to 1.
 * @param {number} high
 * @returns {Float64Array} GRID × cells; each column sums to 1.
 */
function soft(cells, low, high) {
  const width = (high - low) / cells;
  const reach = Math.max(0.6 * width, 0.6 / GRID);
  const found = new Float64Array(GRID * cells);
  for (let cell = 0; cell < cells; cell++) {
    const centre = low + (cell + 0.5) * width;
    let sum = 0;
    for (let square = 0; square < GRID; square++) {
      const away = ((square + 0.5) / GRID - centre) / reach;
      sum += found[square * cells + cell] = Math.exp(-0.5 * away * away);
    }
    for (let square = 0; square < GRID; square++) found[square * cells + cell] /= sum;
  }
  return found;
}

/**
 * Return values as colours: orange for a cat, blue against, transparent where they hardly matter.
 *
 * @param {Float64Array} squares GRID × GRID, in logits.
 * @returns {import("./photo.js").Picture} FINE times as many pixels, to be stretched over the photo.
 */
export function heat(squares) {
  const size = GRID * FINE;
  const most = squares.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-9);
  const fine = stretched(squares.map((value) => value / most));
  const data = new Uint8ClampedArray(size * size * 4);
  for (let index = 0, at = 0; index < fine.length; index++, at += 4) {
    const value = fine[index];
    const above = Math.min(Math.max((Math.abs(value) - FAINT) / (1 - FAINT), 0), 1) ** 0.7;
    const colour = value > 0 ? FOR : AGAINST;
    data[at] = colour[0];
    data[at + 1] = colour[1];
    data[at + 2] = colour[2];
    data[at + 3] = Math.round(255 * DENSEST * above);
  }
  return { width: size, height: size, data };
}

/**
 * @param {Float64Array} squares GRID × GRID.
 * @returns {Float64Array} FINE times as many each way, by Pillow's bicubic filter.
 */
function stretched(squares) {
  const size = GRID * FINE;
  const { starts, counts, values: factors, most } = weights(GRID, 0, GRID, size, cubic, 2);
  const wide = new Float64Array(GRID * size);
  const whole = new Float64Array(size * size);
  for (let to = 0; to < size; to++) {
    for (let i = 0; i < counts[to]; i++) {
      const factor = factors[to * most + i];
      for (let row = 0; row < GRID; row++) wide[row * size + to] += factor * squares[row * GRID + starts[to] + i];
    }
  }
  for (let to = 0; to < size; to++) {
    for (let i = 0; i < counts[to]; i++) {
      const factor = factors[to * most + i];
      for (let x = 0; x < size; x++) whole[to * size + x] += factor * wide[(starts[to] + i) * size + x];
    }
  }
  return whole;
}

/** @param {number} away */
function cubic(away) {
  const x = Math.abs(away);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/**
 * Draw values over what a canvas shows, and a frame around the part that was looked at closer.
 *
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context of a canvas with the photo.
 * @param {Float64Array} squares GRID × GRID, in logits.
 * @param {{strength?: number, closer?: Part | null}} [how] strength of the colours: 0 to 1.
 */
export function draw(context, squares, { strength = 0.8, closer = null } = {}) {
  const { width, height } = context.canvas;
  const colours = heat(squares);
  const data = /** @type {Uint8ClampedArray<ArrayBuffer>} */ (colours.data);
  brush ??= small(colours.width, colours.height);
  brush.putImageData(new ImageData(data, colours.width, colours.height), 0, 0);
  context.save();
  context.globalAlpha = Math.min(Math.max(strength, 0), 1);
  context.drawImage(brush.canvas, 0, 0, width, height);
  context.restore();
  if (closer) frame(context, closer);
}

/**
 * @param {number} width
 * @param {number} height
 */
function small(width, height) {
  const plain = globalThis.document?.createElement("canvas");
  const canvas = plain ? Object.assign(plain, { width, height }) : new OffscreenCanvas(width, height);
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {Part} part
 */
function frame(context, [left, top, right, bottom]) {
  const { width, height } = context.canvas;
  const line = Math.max(2, Math.round(Math.min(width, height) / 160));
  context.save();
  for (const [colour, wide] of /** @type {[string, number][]} */ ([["black", line + 2], ["white", line]])) {
    context.beginPath();
    context.strokeStyle = colour;
    context.lineWidth = wide;
    const inset = line / 2 + 1;
    context.roundRect(
      left * width + inset,
      top * height + inset,
      (right - left) * width - 2 * inset,
      (bottom - top) * height - 2 * inset,
      6 * line,
    );
    context.stroke();
  }
  context.restore();
}
