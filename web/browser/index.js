/**
 * "Are you a cat?" in a browser: photos never leave the device.
 *
 *     const predictor = await load("bundle");
 *     const { probability, label } = await predictor.predict(await decode(file));
 */

export { BundleError } from "./bundle.js";
export { draw, GRID } from "./overlay.js";
export { decode } from "./photo.js";
export { load, Predictor } from "./predictor.js";
export { ModelError } from "./runtime.js";
