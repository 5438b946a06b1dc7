/**
 * "Are you a cat?" in a browser: photos never leave the device.
 *
 *     const predictor = await load("bundle");
 *     const { probability, label } = await predictor.predict(await predictor.decode(file));
 */

export { BundleError } from "./bundle.js";
export { draw, GRID } from "./overlay.js";
export { load, Predictor } from "./predictor.js";
export { memory, ModelError } from "./runtime.js";
