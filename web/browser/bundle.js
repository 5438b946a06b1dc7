/**
 * A bundle is a folder on a server with a model and its manifest; reading it verifies it.
 *
 * @typedef {object} Bundle A verified bundle in memory.
 * @property {Uint8Array<ArrayBuffer>} model bytes of the TFLite file.
 * @property {string} digest SHA-256 of the model, 64 hexadecimal digits.
 * @property {string} version name of the model, unique to its bytes.
 * @property {number} side pixels of each side of the model's square input.
 * @property {import("./verdict.js").Threshold} decision where the answer changes.
 * @property {import("./cascade.js").Plan} plan which passes follow the first one; null for none.
 * @property {import("./selftest.js").Recorded[]} recorded what the model answered in its self-test.
 */

import { CascadeError, plan } from "./cascade.js";
import { isPacked, unpacked } from "./packed.js";
import { hexadecimal } from "./sha256.js";

/** The schema that is written, and the one before it, whose bundles have no self-test. */
const SCHEMA = 2;
const WITHOUT_SELF_TEST = 1;

/** A bundle cannot be used; the message names what is missing or differs. */
export class BundleError extends Error {}

/**
 * Read and verify a bundle.
 *
 * @param {URL} folder its address, which ends with a slash.
 * @returns {Promise<Bundle>}
 * @throws {BundleError} a file is missing, damaged or of another schema.
 */
export async function read(folder) {
  const described = await manifest(folder);
  const name = described.model?.file ?? "model.tflite";
  // A new model has a new address: what lies in a cache is never taken for it.
  const address = new URL(name, folder);
  address.search = `sha256=${described.model?.sha256}`;
  const response = await fetched(address, "default");
  const content = isPacked(name) ? new Response(unpacked(response)) : response;
  let model;
  try {
    model = new Uint8Array(await content.arrayBuffer());
  } catch (error) {
    throw new BundleError(`No model: ${address.pathname} cannot be read (${error}).`);
  }
  return verified(described, model);
}

/**
 * Return what a manifest says, as it lies on the server now.
 *
 * @param {URL} folder
 * @param {AbortSignal} [signal] ends the wait for it.
 * @returns {Promise<any>}
 * @throws {BundleError} it cannot be had or is no JSON.
 */
export async function manifest(folder, signal) {
  const response = await fetched(new URL("manifest.json", folder), "no-cache", signal);
  try {
    return await response.json();
  } catch {
    throw new BundleError("manifest.json is not valid JSON.");
  }
}

/**
 * @param {any} manifest
 * @param {Uint8Array<ArrayBuffer>} model
 * @returns {Promise<Bundle>}
 * @throws {BundleError} they do not fit together, or a value is out of order.
 */
export async function verified(manifest, model) {
  const { schema, model: described, threshold, unsure, golden = [], version, input } = manifest;
  if (schema !== SCHEMA && schema !== WITHOUT_SELF_TEST) {
    throw new BundleError(`The bundle has schema ${schema}; this program reads ${WITHOUT_SELF_TEST} and ${SCHEMA}.`);
  }
  if (model.length !== described?.bytes) {
    throw new BundleError(`The model has ${model.length} bytes; its manifest says ${described?.bytes}.`);
  }
  const digest = await hexadecimal(model);
  if (digest !== described.sha256) {
    throw new BundleError(`The model has sha256 ${digest}; its manifest says ${described.sha256}.`);
  }
  const [low, high] = unsure ?? [];
  if (!(low >= 0 && low <= threshold && threshold <= high && high <= 1)) {
    throw new BundleError(`Threshold ${threshold} and band ${low} to ${high} are out of order.`);
  }
  if (schema === SCHEMA && !golden.length) {
    throw new BundleError("manifest.json has no recorded answers for the self-test.");
  }
  if (!version || !input?.side) throw new BundleError("manifest.json lacks the version or the side.");
  try {
    return {
      model,
      digest,
      version,
      side: input.side,
      decision: { cat: threshold, unsure: [low, high] },
      plan: plan(manifest),
      recorded: schema === SCHEMA ? golden : [],
    };
  } catch (error) {
    if (error instanceof CascadeError || error instanceof TypeError) {
      throw new BundleError(`The cascade of manifest.json cannot be used: ${error.message}.`);
    }
    throw error;
  }
}

/**
 * @param {URL} address
 * @param {RequestCache} cache
 * @param {AbortSignal} [signal]
 */
async function fetched(address, cache, signal) {
  let response;
  try {
    response = await fetch(address, { cache, credentials: "same-origin", signal });
  } catch (error) {
    throw new BundleError(`No model: ${address.pathname} cannot be had (${error}).`);
  }
  if (!response.ok) throw new BundleError(`No model: ${address.pathname} gives HTTP ${response.status}.`);
  return response;
}
