/**
 * How LiteRT.js gets its WebAssembly: takes the place of `@litertjs/wasm-utils` in what `web.build` makes.
 *
 * That package adds a script element to the page, which no module worker has, and looks for files under names
 * that never change. Here the script is imported as a module, and both files have a hash in their names.
 */

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
  const { default: start } = await import(new URL(name, here).href);
  return new library(await start({ locateFile: () => new URL(wasm, here).href }));
}
