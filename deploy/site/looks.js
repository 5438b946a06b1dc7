/**
 * Asks the worker, and steadies what it says of a camera's frames.
 *
 * @typedef {{probability: number, isCat: boolean, unsure: boolean, label: string, modelVersion: string}} Verdict
 * @typedef {{verdict: Verdict, values: Float64Array, closer: [number, number, number, number] | null}} Look
 */

export class Looks {
  /** @type {Map<number, {resolve: (look: Look) => void, reject: (problem: Error) => void}>} */
  #open = new Map();
  #next = 1;
  /** @type {Worker} */
  #worker;

  constructor() {
    this.#worker = new Worker("worker.js", { type: "module" });
    /** @type {Promise<{version: string}>} Settles when the model can answer. */
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.ready) resolve(data.ready);
        else if (data.failed) reject(new Error(data.failed));
        else this.#answered(data);
      };
      this.#worker.onerror = () => reject(new Error("This browser cannot run the model."));
    });
    this.ready.catch(() => undefined);
  }

  /** @param {{id: number, look?: Look, problem?: string}} said */
  #answered({ id, look, problem }) {
    const asked = this.#open.get(id);
    this.#open.delete(id);
    if (look) asked?.resolve(look);
    else asked?.reject(new Error(problem));
  }

  /**
   * Look at a photo's file, or at a bitmap, which is gone then.
   *
   * @param {{file?: Blob, bitmap?: ImageBitmap, thorough?: boolean}} asked
   * @returns {Promise<Look>}
   */
  look(asked) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#open.set(id, { resolve, reject }));
    this.#worker.postMessage({ id, ...asked }, asked.bitmap ? [asked.bitmap] : []);
    return /** @type {Promise<Look>} */ (answer);
  }
}

/** Milliseconds in which what was seen before loses two thirds of its weight. */
const MEMORY_MS = 400;
/** Another label is shown when it has held for so many milliseconds. */
const HOLD_MS = 300;

/** Steadies verdicts: probabilities are averaged over time, and a new label must hold before it is shown. */
export class Steady {
  /** @type {number | null} */
  #mean = null;
  #seen = 0;
  #since = 0;
  #waiting = "";
  /** What is shown now. */
  label = "";

  /**
   * Take in a verdict.
   *
   * @param {Verdict} verdict
   * @param {number} now milliseconds.
   * @returns {{label: string, probability: number}} what to show.
   */
  next({ label, probability }, now) {
    const kept = this.#mean === null ? 0 : Math.exp((this.#seen - now) / MEMORY_MS);
    this.#mean = kept * (this.#mean ?? 0) + (1 - kept) * probability;
    this.#seen = now;
    if (label !== this.#waiting) [this.#waiting, this.#since] = [label, now];
    if (!this.label || now - this.#since >= HOLD_MS) this.label = label;
    return { label: this.label, probability: this.#mean };
  }
}
