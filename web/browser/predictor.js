/**
 * Predictor: a photo in, a verdict out.
 *
 * @typedef {import("./verdict.js").Verdict} Verdict
 * @typedef {import("./bundle.js").Bundle} Bundle
 *
 * @typedef {object} Options
 * @property {boolean} [compat] whether to run without relaxed SIMD even where the browser has that.
 * @property {"auto" | "wasm"} [accelerator] "auto" takes the graphics processor where it passes the self-test
 *   and is faster; "wasm", the default, never does.
 *
 * @typedef {object} Look
 * @property {Verdict} verdict
 * @property {Float64Array} values GRID × GRID, in logits: what each square of the photo adds.
 * @property {import("./cascade.js").Part | null} closer the part that was looked at closest.
 */

import { manifest, read, BundleError } from "./bundle.js";
import { Cascade, closer } from "./cascade.js";
import { values } from "./overlay.js";
import { decode, read as pixelsOf } from "./photo.js";
import { hasGpu, ModelError, Runtime, start } from "./runtime.js";
import { check, draw, SelfTestError } from "./selftest.js";
import { verdict } from "./verdict.js";

/** Looks by which two accelerators are compared, after the self-test has warmed them up. */
const TIMED = 5;
/** Milliseconds in which the server must say which bundle it has; else the old one goes on. */
const PATIENCE_MS = 2000;

/** Answers for one bundle. */
export class Predictor {
  /** @type {Promise<unknown>} */
  #renewing = Promise.resolve();
  /** @type {Promise<void>} Settles when the looks that were begun are done. */
  #looking = Promise.resolve();

  /**
   * @param {URL} folder of the bundle.
   * @param {Bundle} bundle
   * @param {Runtime} runtime
   * @param {Options} options
   */
  constructor(folder, bundle, runtime, options) {
    this.folder = folder;
    this.bundle = bundle;
    this.options = options;
    this.cascade = new Cascade(runtime, bundle.plan);
    /** What closes the model's memory and says where it runs. */
    this.runtime = runtime;
  }

  /**
   * Return the pixels of a file as the model's passes need them; Python would see the same photo.
   *
   * @param {Blob} file of a kind that the browser can decode.
   * @returns {Promise<import("./photo.js").Picture>} upright.
   * @throws {DOMException} the browser cannot decode the file.
   */
  decode(file) {
    return decode(file, this.cascade.decodedSide);
  }

  /**
   * Say whether a photo shows a cat.
   *
   * @param {Parameters<typeof pixelsOf>[0]} image upright.
   * @param {{thorough?: boolean}} [how] thorough: whether to search every part of the photo.
   * @returns {Promise<Verdict>}
   */
  async predict(image, how = {}) {
    return (await this.look(image, how)).verdict;
  }

  /**
   * Say whether a photo shows a cat, and where in it the answer comes from.
   *
   * @param {Parameters<typeof pixelsOf>[0]} image upright.
   * @param {{thorough?: boolean}} [how] thorough: whether to search every part of the photo.
   * @returns {Promise<Look>}
   */
  async look(image, { thorough = false } = {}) {
    const { bundle, cascade } = this;
    const looking = pixelsOf(image).then((picture) => cascade.answer(picture, thorough));
    this.#looking = Promise.allSettled([this.#looking, looking]).then(() => undefined);
    const answer = await looking;
    const threshold = (thorough && cascade.search?.threshold) || bundle.decision;
    return {
      verdict: verdict(threshold, answer.probability, bundle.version),
      values: values(answer),
      closer: closer(answer),
    };
  }

  /**
   * Take up the bundle that the server has now, if it is another one; looks go on with the old one meanwhile.
   *
   * @returns {Promise<boolean>} whether it was another one.
   * @throws {BundleError} the new one cannot be used; the old one stays.
   */
  renew() {
    const renewed = this.#renewing.then(() => this.#renew());
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  async #renew() {
    const now = await manifest(this.folder, AbortSignal.timeout(PATIENCE_MS));
    if (now.model?.sha256 === this.bundle.digest && now.version === this.bundle.version) return false;
    const bundle = await read(this.folder);
    const runtime = await started(bundle, this.options);
    const old = this.runtime;
    this.bundle = bundle;
    this.runtime = runtime;
    this.cascade = new Cascade(runtime, bundle.plan);
    void this.#looking.then(() => old.close());
    return true;
  }

  /** Give the model's memory back, when the looks that were begun are done. */
  async close() {
    await this.#looking;
    await this.runtime.close();
  }
}

/**
 * Load a bundle.
 *
 * @param {string | URL} url of its folder, relative to the page or worker.
 * @param {Options} [options]
 * @returns {Promise<Predictor>}
 * @throws {BundleError | ModelError} it is missing or damaged, or cannot be run here.
 */
export async function load(url, options = {}) {
  const folder = new URL(`${url}`.replace(/\/?$/, "/"), globalThis.document?.baseURI ?? globalThis.location.href);
  const [bundle] = await Promise.all([read(folder), start(options.compat)]);
  return new Predictor(folder, bundle, await started(bundle, options), options);
}

/**
 * @param {Bundle} bundle
 * @param {Options} options
 */
async function started(bundle, { accelerator = "wasm" }) {
  const plain = await Runtime.load(bundle.model);
  try {
    if (plain.side !== bundle.side) {
      throw new BundleError(`The model takes ${plain.side} pixels a side; its manifest says ${bundle.side}.`);
    }
    if (bundle.plan?.kind === "zooms" && !plain.hasCatMap) {
      throw new BundleError("The manifest asks for zooms; its model has no cat map.");
    }
    await check(plain, bundle.recorded);
  } catch (error) {
    await plain.close();
    if (error instanceof SelfTestError) throw new BundleError(`The model is not used. ${error.message}`);
    throw error;
  }
  return accelerator === "auto" ? faster(plain, bundle) : plain;
}

/**
 * Return a model on the graphics processor if it passes the self-test there and is faster; else the given one.
 *
 * @param {Runtime} plain
 * @param {Bundle} bundle
 */
async function faster(plain, bundle) {
  let other;
  try {
    if (!(await hasGpu())) return plain;
    other = await Runtime.load(bundle.model, "webgpu");
    await check(other, bundle.recorded);
    if ((await milliseconds(other)) < (await milliseconds(plain))) {
      await plain.close();
      return other;
    }
  } catch (error) {
    if (!(error instanceof ModelError || error instanceof SelfTestError)) console.warn(error);
  }
  await other?.close();
  return plain;
}

/** @param {Runtime} runtime */
async function milliseconds(runtime) {
  const picture = draw(0, runtime.side);
  const began = performance.now();
  for (let i = 0; i < TIMED; i++) await runtime.run(picture);
  return performance.now() - began;
}
