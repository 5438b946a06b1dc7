/**
 * Asks the engine, which runs in a worker so that the page stays responsive.
 *
 * @typedef {{probability: number, isCat: boolean, unsure: boolean, label: string, modelVersion: string}} Verdict
 * @typedef {object} Model What answers.
 * @property {string} version
 * @property {boolean} searches whether it knows the thorough search.
 * @property {string[]} files addresses of what was loaded for it.
 * @typedef {{verdict: Verdict, values: Float64Array, closer: [number, number, number, number] | null}} Look
 */

/** Milliseconds in which an answer must be there: a thorough search on an old phone may take tens of seconds. */
const PATIENCE_MS = 180_000;

/**
 * Return a probability as a whole number of percent, as Python does: from 1 to 99, halves to the even number.
 *
 * @param {number} probability 0 to 1.
 */
export function percent(probability) {
  const exact = 100 * probability;
  const near = Math.round(exact);
  return Math.min(99, Math.max(1, near - exact === 0.5 && near % 2 ? near - 1 : near));
}

/** The browser cannot decode a file, or would not show the model what the server would. */
export class Unreadable extends Error {
  name = "Unreadable";
}

export class Looks {
  /**
   * @type {Map<number, {resolve: (answer: any) => void, reject: (problem: Error) => void,
   *   timer?: ReturnType<typeof setTimeout>}>}
   */
  #open = new Map();
  #next = 1;
  /** @type {Error | null} Why the worker answers no more. */
  #broken = null;
  /** @type {Worker} */
  #worker;

  /** @param {string | URL} folder address of the bundle, relative to the page. */
  constructor(folder) {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    /** @type {Promise<Model>} Settles when the model can answer. */
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.ready) resolve(data.ready);
        else if (data.failed) reject(new Error(data.failed));
        else this.#answered(data);
      };
      this.#worker.onerror = () => {
        const broken = new Error("This browser cannot run the model.");
        reject(broken);
        this.#end(broken);
      };
    });
    this.ready.catch(() => undefined);
    this.#worker.postMessage({ folder: new URL(folder, document.baseURI).href });
  }

  /** @param {{id: number, answer?: unknown, problem?: string, unreadable?: boolean}} said */
  #answered({ id, answer, problem, unreadable }) {
    if (problem !== undefined) {
      this.#fail(id, unreadable ? new Unreadable(problem) : new Error(problem));
      return;
    }
    const asked = this.#open.get(id);
    this.#open.delete(id);
    clearTimeout(asked?.timer);
    asked?.resolve(answer);
  }

  /**
   * End a question in time: a worker that the browser has ended, for want of memory perhaps, says nothing.
   *
   * @param {number} id
   */
  #watch(id) {
    const asked = this.#open.get(id);
    const end = () => this.#end(new Error("This browser no longer answers."));
    if (asked) asked.timer = setTimeout(end, PATIENCE_MS);
  }

  /** @param {Error} broken */
  #end(broken) {
    this.#broken = broken;
    for (const id of [...this.#open.keys()]) this.#fail(id, broken);
    this.#worker.terminate();
  }

  /**
   * @param {number} id
   * @param {Error} problem
   */
  #fail(id, problem) {
    const asked = this.#open.get(id);
    this.#open.delete(id);
    clearTimeout(asked?.timer);
    asked?.reject(problem);
  }

  /**
   * @param {{file?: Blob, frame?: VideoFrame | ImageBitmap, thorough?: boolean, renew?: boolean}} asked
   * @param {Transferable[]} [given]
   */
  #ask(asked, given = []) {
    if (this.#broken) return Promise.reject(this.#broken);
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#open.set(id, { resolve, reject }));
    // Before it is ready, and for another model, a slow line may take as long as it likes.
    if (!asked.renew) this.ready.then(() => this.#watch(id)).catch(() => undefined);
    this.#worker.postMessage({ id, ...asked }, given);
    return /** @type {Promise<any>} */ (answer);
  }

  /**
   * Look at a photo's file, or at a frame, which is gone then.
   *
   * @param {{file?: Blob, frame?: VideoFrame | ImageBitmap, thorough?: boolean}} asked
   * @returns {Promise<Look>}
   * @throws {Unreadable} the browser cannot read the file as Python would.
   */
  look(asked) {
    return this.#ask(asked, asked.frame ? [asked.frame] : []);
  }

  /**
   * Take up the bundle that the server has now. Where it cannot be had the old one goes on.
   *
   * @returns {Promise<Model>} that answers from now on.
   */
  renew() {
    return this.#ask({ renew: true });
  }
}
