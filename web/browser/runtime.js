/**
 * LiteRT's interpreter as WebAssembly: pixels in, named outputs out.
 *
 * @typedef {object} Map2d
 * @property {number} height cells.
 * @property {number} width
 * @property {Float32Array} data height × width, row by row.
 *
 * @typedef {object} Outputs What the model says of one picture.
 * @property {number} probability 0 to 1: how likely it shows a cat.
 * @property {Float32Array} embedding pooled features.
 * @property {Map2d} share the attribution of each cell; they sum to the logit.
 * @property {Map2d | null} catMap the logit that each cell shows a cat; null without such an output.
 *
 * @typedef {import("@litertjs/core").CompiledModel} CompiledModel
 * @typedef {"wasm" | "webgpu"} Accelerator
 */

import {
  Environment,
  getGlobalLiteRt,
  getGlobalLiteRtPromise,
  loadAndCompile,
  loadLiteRt,
  setWebGpuDevice,
  Tensor,
} from "@litertjs/core";

import { withKnownShapes } from "./tflite.js";

const OUTPUTS = ["probability", "embedding", "share"];
const CAT_MAP = "cat_map";

/** The model is not what this program can serve, or the browser cannot run it; the message says why. */
export class ModelError extends Error {}

/**
 * Start LiteRT, once for a page or worker; the graphics processor is left alone.
 *
 * @param {boolean} compat whether to take the build without relaxed SIMD even where the browser has that.
 */
export async function start(compat = false) {
  if (typeof WebAssembly === "undefined") throw new ModelError("This browser does not run WebAssembly.");
  const { create } = Environment;
  // LiteRT would wait for a graphics processor as it starts, and warn in the console where there is none.
  Environment.create = async () => new Environment({ webGpuDevice: null });
  try {
    await (getGlobalLiteRtPromise() ?? loadLiteRt(compat ? "/litert_wasm_compat_internal.js" : "/"));
  } finally {
    Environment.create = create;
  }
}

/** Return how many bytes WebAssembly's memory has; it can grow, and never shrinks. */
export function memory() {
  return getGlobalLiteRt().liteRtWasm.HEAPU8.byteLength;
}

/** Ask for a graphics processor; return whether there is one that LiteRT can use. */
export async function hasGpu() {
  const { webGpuDevice } = await Environment.create();
  if (webGpuDevice) setWebGpuDevice(webGpuDevice);
  return webGpuDevice !== null;
}

/** One compiled model; its looks wait for each other. */
export class Runtime {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @param {CompiledModel} model
   * @param {number} side
   * @param {Accelerator} accelerator
   */
  constructor(model, side, accelerator) {
    this.model = model;
    /** Pixels of each side of what the model is shown. */
    this.side = side;
    this.accelerator = accelerator;
    this.hasCatMap = model.getOutputDetails().some(({ name }) => name === CAT_MAP);
  }

  /**
   * Compile a model.
   *
   * @param {Uint8Array} bytes of a .tflite file with one uint8 input of shape (1, side, side, 3).
   * @param {Accelerator} [accelerator]
   * @throws {ModelError} the bytes are no such model.
   */
  static async load(bytes, accelerator = "wasm") {
    let model;
    try {
      model = await loadAndCompile(withKnownShapes(bytes), { accelerator });
    } catch (error) {
      throw new ModelError(`This is not a model that can be served: ${said(error)}`);
    }
    try {
      const inputs = model.getInputDetails();
      const shape = Array.from(inputs[0].shape);
      if (inputs.length !== 1 || inputs[0].dtype !== "uint8" || `${shape}` !== `1,${shape[1]},${shape[1]},3`) {
        throw new ModelError(`The model takes ${shape} of ${inputs[0].dtype}; it must take uint8 RGB pixels.`);
      }
      const names = model.getOutputDetails().map(({ name }) => name);
      if (`${names.filter((name) => name !== CAT_MAP).sort()}` !== `${[...OUTPUTS].sort()}`) {
        throw new ModelError(`The model's outputs are ${names}; they must be ${OUTPUTS}.`);
      }
      return new Runtime(model, shape[1], accelerator);
    } catch (error) {
      model.delete();
      throw error;
    }
  }

  /**
   * Judge a picture.
   *
   * @param {Uint8Array} pixels side × side × 3, RGB.
   * @returns {Promise<Outputs>}
   */
  run(pixels) {
    const look = this.#last.then(() => this.#run(pixels));
    this.#last = look.catch(() => undefined);
    return look;
  }

  /** @param {Uint8Array} pixels */
  async #run(pixels) {
    const { side, model } = this;
    if (pixels.length !== side * side * 3) throw new RangeError(`expected ${side} × ${side} × 3 pixels`);
    const input = new Tensor(/** @type {Uint8Array<ArrayBuffer>} */ (pixels), [1, side, side, 3]);
    /** @type {Record<string, Tensor>} */
    let outputs = {};
    try {
      outputs = await model.run({ [model.getInputDetails()[0].name]: input });
      const found = /** @type {Record<string, Float32Array>} */ ({});
      for (const [name, tensor] of Object.entries(outputs)) {
        found[name] = Float32Array.from(await tensor.data()); // a copy: LiteRT's memory is freed below
      }
      return {
        probability: found.probability[0],
        embedding: found.embedding,
        share: map(found.share, outputs.share),
        catMap: CAT_MAP in outputs ? map(found[CAT_MAP], outputs[CAT_MAP]) : null,
      };
    } finally {
      input.delete();
      for (const tensor of Object.values(outputs)) tensor.delete();
    }
  }

  /** Give the model's memory back, when the looks that were asked for are done. */
  async close() {
    await this.#last;
    this.model.delete();
  }
}

/**
 * @param {Float32Array} data
 * @param {Tensor} tensor of shape (1, height, width) or (1, height, width, 1).
 * @returns {Map2d}
 */
function map(data, tensor) {
  const [, height, width] = tensor.type.layout.dimensions;
  return { height, width, data };
}

/** @param {unknown} error */
function said(error) {
  return error instanceof Error ? error.message : String(error);
}
