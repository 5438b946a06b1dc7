/**
 * The engine in a thread of its own, so that the page stays responsive.
 *
 * Gets `{id, file}` or `{id, bitmap}`, and perhaps `thorough`; answers `{id, look}` or `{id, problem}`. The first
 * message is `{ready: {version}}` or `{failed}`.
 */

import { load } from "./are-you-a-cat.js";

const loading = load("./");
loading.then(
  (predictor) => postMessage({ ready: { version: predictor.bundle.version } }),
  (error) => postMessage({ failed: error.message }),
);

addEventListener("message", async ({ data: { id, file, bitmap, thorough } }) => {
  try {
    const predictor = await loading;
    const image = file ? await predictor.decode(file) : bitmap;
    postMessage({ id, look: await predictor.look(image, { thorough }) });
  } catch (error) {
    const unreadable = error instanceof DOMException;
    postMessage({ id, problem: unreadable ? "This browser cannot read this file as a photo." : String(error) });
  } finally {
    bitmap?.close();
  }
});
