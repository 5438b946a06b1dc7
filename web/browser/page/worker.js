/**
 * The engine in a thread of its own.
 *
 * The first message to it is `{folder}`, the bundle's address; it answers `{ready}` or `{failed}`. Each further
 * one is `{id, file}`, `{id, frame}`, both perhaps with `thorough`, or `{id, renew}`; it answers `{id, answer}`
 * or `{id, problem}`.
 */

import { load } from "./are-you-a-cat.js";

/** Files that may hold an animation; of one that begins blank Python looks at a later picture. */
const MAY_MOVE = ["image/gif", "image/webp", "image/png", "image/apng", "image/avif"];
/** Levels between the darkest and the brightest pixel of a channel in a picture that Python calls blank. */
const BLANK = 16;
const CANNOT_READ = "This browser cannot read this file as a photo.";

/** @type {Promise<import("./are-you-a-cat.js").Predictor>} */
let loading;

/** @param {import("./are-you-a-cat.js").Predictor} predictor */
const told = ({ bundle, cascade }) => ({
  version: bundle.version,
  searches: cascade.search !== null,
  files: performance.getEntriesByType("resource").map(({ name }) => name),
});

/**
 * Return whether the browser gives back what was drawn; one that guards against fingerprinting gives noise.
 */
function draws() {
  const pen = new OffscreenCanvas(4, 4).getContext("2d");
  if (!pen) return false;
  pen.fillStyle = "#123456";
  pen.fillRect(0, 0, 4, 4);
  return pen.getImageData(0, 0, 4, 4).data.every((value, i) => value === [18, 52, 86, 255][i % 4]);
}

/** @param {import("../photo.js").Picture} picture */
function blank({ data, width, height }) {
  const channels = data.length / (width * height);
  const least = [255, 255, 255];
  const most = [0, 0, 0];
  for (let i = 0; i < data.length; i += channels) {
    for (let channel = 0; channel < 3; channel++) {
      const value = data[i + channel];
      if (value < least[channel]) least[channel] = value;
      if (value > most[channel]) most[channel] = value;
    }
  }
  return most.every((value, channel) => value - least[channel] <= BLANK);
}

/**
 * @param {import("./are-you-a-cat.js").Predictor} predictor
 * @param {Blob} file
 */
async function read(predictor, file) {
  const picture = await predictor.decode(file);
  if (MAY_MOVE.includes(file.type) && blank(picture)) throw new DOMException("", "EncodingError");
  return picture;
}

/** @param {{file?: Blob, frame?: VideoFrame | ImageBitmap, thorough?: boolean, renew?: boolean}} asked */
async function answer({ file, frame, thorough, renew }) {
  const predictor = await loading;
  if (renew) {
    await predictor.renew().catch(() => false);
    return told(predictor);
  }
  const image = file ? await read(predictor, file) : /** @type {VideoFrame | ImageBitmap} */ (frame);
  return predictor.look(image, { thorough });
}

addEventListener("message", async ({ data: { id, folder, ...asked } }) => {
  if (folder) {
    loading = draws() ? load(folder) : Promise.reject(new Error("This browser changes what is drawn."));
    loading.then(
      (predictor) => postMessage({ ready: told(predictor) }),
      (error) => postMessage({ failed: error.message }),
    );
    return;
  }
  try {
    postMessage({ id, answer: await answer(asked) });
  } catch (error) {
    const unreadable = error instanceof DOMException;
    postMessage({ id, unreadable, problem: unreadable ? CANNOT_READ : String(error) });
  } finally {
    asked.frame?.close();
  }
});
