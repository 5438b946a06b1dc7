/**
 * How LiteRT.js gets its WebAssembly: takes the place of `@litertjs/wasm-utils` in what `web.build` makes.
 *
 * That package adds a script element to the page, which no module worker has, and looks for files under names
 * that never change. Here the script is imported as a module, and both files have a hash in their names.
 */

import { unpacked } from "./packed.js";

/** @typedef {Record<string, {script: string, wasm: string}>} Files */

/** By the name of LiteRT's script; `web.build` puts them in. */
/* global LITERT_FILES */
// @ts-expect-error no file declares it
const FILES = /** @type {Files} */ (typeof LITERT_FILES === "undefined" ? {} : LITERT_FILES);

/**
 * Start a library that Emscripten made.
 *
 * @template Library
 * @param {new (module: object) => Library} library takes the started module.
 * @param {string} script LiteRT's name of its script; what stands before the last slash is passed over.
 * @returns {Promise<Library>}
 */
export async function createWasmLib(library, script) {
  const { script: name, wasm } = FILES[script.slice(script.lastIndexOf("/") + 1)];
  const here = import.meta.url;
  const response = fetched(new URL(wasm, here)); // it is the larger one: it does not wait for the script
  response.catch(() => undefined);
  const { default: start } = await import(new URL(name, here).href);
  /** @type {(reason: unknown) => void} */
  let fail = () => undefined;
  const failed = /** @type {Promise<never>} */ (new Promise((_, reject) => (fail = reject)));
  /**
   * What Emscripten lets others do for it.
   *
   * @param {WebAssembly.Imports} imports
   * @param {(instance: WebAssembly.Instance, module: WebAssembly.Module) => void} ready
   */
  const instantiateWasm = (imports, ready) => {
    instance(response, imports).then((made) => ready(made.instance, made.module), fail);
    return {};
  };
  return new library(await Promise.race([start({ instantiateWasm, printErr }), failed]));
}

/**
 * Pass on what LiteRT writes that is more than a report of what it does, or of a processor that no browser has.
 *
 * @param {string} text
 */
function printErr(text) {
  if (!/^(INFO|VERBOSE):|npu_registry/.test(text)) console.warn(text);
}

/** @param {URL} url */
async function fetched(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${url.pathname} gives HTTP ${response.status}.`);
  return response;
}

/**
 * @param {Promise<Response>} response of compressed WebAssembly.
 * @param {WebAssembly.Imports} imports
 */
async function instance(response, imports) {
  const headers = { "Content-Type": "application/wasm" };
  return WebAssembly.instantiateStreaming(new Response(unpacked(await response), { headers }), imports);
}
