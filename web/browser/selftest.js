/**
 * The self-test: generated pictures with the model's recorded answers, so that loading can tell the right
 * model, running right. The pictures and tolerances are those of `cat_model/selftest.py`.
 *
 * @typedef {object} Recorded What the model answered about one picture when it was exported.
 * @property {number} picture from which `draw` makes it.
 * @property {number} probability 0 to 1.
 * @property {number[]} embedding some of the pooled features, evenly spaced.
 */

import { digest } from "./sha256.js";

const CELLS = 7;
const FEATURES = 64;
const PROBABILITY_TOLERANCE = 0.1;
const EMBEDDING_TOLERANCE = 0.25;

/** A model does not answer as it did when it was exported; the message says what differs. */
export class SelfTestError extends Error {}

/**
 * Return a picture of soft spots of colour.
 *
 * @param {number} picture
 * @param {number} side pixels.
 * @returns {Uint8Array} side × side × 3, RGB.
 */
export function draw(picture, side) {
  const corners = CELLS + 1;
  const spots = new Uint8Array(corners * 32);
  for (let part = 0; part < corners; part++) {
    spots.set(digest(new TextEncoder().encode(`${picture}/${part}`)), part * 32);
  }
  const drawn = new Uint8Array(side * side * 3);
  let at = 0;
  for (let y = 0; y < side; y++) {
    const row = Math.floor((y * CELLS) / side);
    const down = (y * CELLS) % side;
    for (let x = 0; x < side; x++) {
      const column = Math.floor((x * CELLS) / side);
      const across = (x * CELLS) % side;
      for (let channel = 0; channel < 3; channel++) {
        const from = (row * corners + column) * 3 + channel;
        const left = spots[from] * (side - down) + spots[from + corners * 3] * down;
        const right = spots[from + 3] * (side - down) + spots[from + corners * 3 + 3] * down;
        drawn[at++] = Math.floor((left * (side - across) + right * across) / side ** 2);
      }
    }
  }
  return drawn;
}

/**
 * Ask a model about generated pictures.
 *
 * @param {import("./cascade.js").Seer} runtime
 * @param {Recorded[]} answers
 * @throws {SelfTestError} an answer differs from the recorded one by more than rounding explains.
 */
export async function check(runtime, answers) {
  for (const { picture, probability, embedding } of answers) {
    const now = await runtime.run(draw(picture, runtime.side));
    const where = `The model does not answer picture ${picture} as recorded`;
    // Said this way round, a model that answers "not a number" fails too.
    if (!(Math.abs(now.probability - probability) <= PROBABILITY_TOLERANCE)) {
      throw new SelfTestError(`${where}: ${now.probability.toFixed(3)} instead of ${probability.toFixed(3)}.`);
    }
    const step = Math.max(1, Math.floor(now.embedding.length / FEATURES));
    const chosen = Array.from(now.embedding)
      .filter((_, index) => index % step === 0)
      .slice(0, FEATURES);
    if (chosen.length !== embedding.length) {
      throw new SelfTestError(`${where}: ${chosen.length} features instead of ${embedding.length}.`);
    }
    const apart = norm(chosen.map((value, index) => value - embedding[index])) / Math.max(norm(embedding), 1e-9);
    if (!(apart <= EMBEDDING_TOLERANCE)) {
      throw new SelfTestError(`${where}: its features are off by ${Math.round(100 * apart)} %.`);
    }
  }
}

/** @param {number[]} values */
function norm(values) {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
