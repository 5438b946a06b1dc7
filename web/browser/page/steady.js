/**
 * What keeps a live answer from flickering, and a phone from growing warm.
 */

/** Milliseconds in which what was seen before loses two thirds of its weight. */
const MEMORY_MS = 400;
/** Another label is shown when it has held for so many milliseconds. */
const HOLD_MS = 300;
/** The charge at which devices begin to save their battery, unless told otherwise. */
const LOW = 0.2;

/**
 * Steadies verdicts: a new label must hold before it is shown, and its probability is a mean over time of the
 * looks that said so.
 */
export class Steady {
  /** @type {Map<string, {mean: number, seen: number}>} */
  #means = new Map();
  #since = 0;
  #waiting = "";
  #label = "";

  /**
   * Take in a verdict.
   *
   * @param {{label: string, probability: number}} verdict
   * @param {number} now milliseconds.
   * @returns {{label: string, probability: number}} what to show.
   */
  next({ label, probability }, now) {
    const before = this.#means.get(label);
    const kept = before ? Math.exp((before.seen - now) / MEMORY_MS) : 0;
    this.#means.set(label, { mean: kept * (before?.mean ?? 0) + (1 - kept) * probability, seen: now });
    if (label !== this.#waiting) [this.#waiting, this.#since] = [label, now];
    if (!this.#label || now - this.#since >= HOLD_MS) this.#label = label;
    return { label: this.#label, probability: this.#means.get(this.#label)?.mean ?? probability };
  }
}

/**
 * Return whether a device's battery is to be spared.
 *
 * @param {{charging: boolean, level: number} | null} battery null where the browser does not tell.
 */
export function spares(battery) {
  return battery !== null && !battery.charging && battery.level <= LOW;
}

/**
 * Return how many milliseconds to wait after a look: as long as it took where the battery is to be spared, which
 * halves the rate.
 *
 * @param {{charging: boolean, level: number} | null} battery
 * @param {number} took milliseconds of the look.
 */
export function pause(battery, took) {
  return spares(battery) ? took : 0;
}
