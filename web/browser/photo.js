/**
 * Photos become upright pixels on white here, and the model's square of RGB.
 *
 * `resize` gives the very bytes of `cat_model.photo.resize`: Pillow's bilinear filter with a reducing gap of
 * 3, in the same integers. `decode` makes big JPEGs smaller as libjpeg does when it decodes them at a fraction
 * of their size, which `cat_model.photo.decode` asks for.
 *
 * @typedef {object} Picture
 * @property {number} width pixels.
 * @property {number} height pixels.
 * @property {Uint8Array | Uint8ClampedArray} data height × width × 3 (RGB) or × 4 (RGBA, of which the last is
 *   passed over), row by row.
 *
 * @typedef {[left: number, top: number, right: number, bottom: number]} Box
 *
 * @typedef {object} Weights What each pixel of a result is made of.
 * @property {Int32Array} starts the first source pixel.
 * @property {Int32Array} counts how many source pixels.
 * @property {Float64Array} values `most` for each result, those past its count 0; they sum to 1.
 * @property {number} most
 */

import { isJpeg, orientation } from "./exif.js";

/** Bytes of a file in which EXIF is looked for. */
const HEADER = 1 << 18;
/** The EXIF orientations in which a file's first column lies at the right, and those with its first row below. */
const FROM_RIGHT = [2, 3, 6, 7];
const FROM_BELOW = [3, 4, 7, 8];
/** A side may shrink so many times at most in the second, exact step; what is more, whole boxes average. */
const GAP = 3;
/** Pictures more than so many times as high as they are wide are resized in the other order. */
const NARROW = 100;
/** Bits of the fixed-point weights. */
const BITS = 22;
const CHANNELS = 3;
/** Source rows for which there is a loop of its own. */
const AT_ONCE = 4;
/** Pixels of the largest frame whose canvas is kept for the next. */
const FRAME = 1 << 20;
/** @type {ReturnType<typeof canvas> | null} */
let kept = null;

/**
 * Return the pixels of a file that the browser can decode, upright, on white, without the file's colour
 * profile, as `cat_model.photo.decode` reads it too.
 *
 * @param {Blob} file
 * @param {number} [atLeast] if given, a JPEG is made smaller as long as both sides stay that many pixels.
 * @returns {Promise<Picture>}
 * @throws {DOMException} the browser cannot decode the file.
 */
export async function decode(file, atLeast) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  try {
    const bytes = new Uint8Array(await file.slice(0, HEADER).arrayBuffer());
    const picture = pixels(bitmap);
    return atLeast && isJpeg(bytes) ? shrink(picture, atLeast, orientation(bytes)) : picture;
  } finally {
    bitmap.close();
  }
}

/**
 * Return the pixels of a bitmap or a frame of a video, laid on white.
 *
 * @param {ImageBitmap | VideoFrame | HTMLVideoElement | HTMLCanvasElement | OffscreenCanvas | Picture} source
 * @returns {Picture}
 */
export function pixels(source) {
  if ("data" in source) return source;
  const drawn = /** @type {ImageBitmap} */ (source);
  const [width, height] = sides(source);
  const context = paper(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser gives no canvas to read pixels from.");
  const plain = /** @type {CanvasRenderingContext2D} */ (context);
  plain.fillStyle = "white";
  plain.fillRect(0, 0, width, height);
  plain.drawImage(drawn, 0, 0);
  return plain.getImageData(0, 0, width, height);
}

/**
 * Return what `pixels` returns; of a frame without a canvas where the browser can, which takes a fifth of the time.
 *
 * @param {Parameters<typeof pixels>[0]} source
 * @returns {Promise<Picture>}
 */
export async function read(source) {
  if (typeof VideoFrame === "undefined" || !(source instanceof VideoFrame) || !isPlain(source)) return pixels(source);
  const [width, height] = sides(source);
  const data = new Uint8Array(width * height * 4);
  try {
    await source.copyTo(data, { format: "RGBX" });
  } catch {
    return pixels(source); // a browser that does not convert, or not this format
  }
  return { width, height, data };
}

/**
 * Return whether a frame is shown as it is stored: neither turned nor mirrored, stretched or transparent.
 *
 * @param {VideoFrame & {rotation?: number, flip?: boolean}} frame
 */
function isPlain({ rotation, flip, visibleRect, displayWidth, displayHeight, format }) {
  const opaque = format !== null && !format.includes("A");
  return opaque && !rotation && !flip && visibleRect?.width === displayWidth && visibleRect.height === displayHeight;
}

/**
 * @param {ImageBitmap | VideoFrame | HTMLVideoElement | HTMLCanvasElement | OffscreenCanvas} source
 * @returns {[width: number, height: number]} pixels.
 */
function sides(source) {
  if ("videoWidth" in source) return [source.videoWidth, source.videoHeight];
  if ("displayWidth" in source) return [source.displayWidth, source.displayHeight];
  return [source.width, source.height];
}

/**
 * Return a canvas to read pixels from. Frames of a camera share one: a browser gives the memory of canvases back
 * late, and some of it not before the page is closed.
 *
 * @param {number} width
 * @param {number} height
 */
function paper(width, height) {
  if (width * height > FRAME) return canvas(width, height);
  if (kept?.width !== width || kept.height !== height) kept = canvas(width, height);
  return kept;
}

/**
 * @param {number} width
 * @param {number} height
 */
function canvas(width, height) {
  if (typeof OffscreenCanvas !== "undefined") return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * Make a JPEG's picture smaller as libjpeg does: each pixel is the mean of a square of them.
 *
 * @param {Picture} picture upright.
 * @param {number} atLeast pixels that both sides keep at least.
 * @param {number} orientation by which the file's picture was turned, 1 to 8: the squares begin at its corner.
 * @returns {Picture} 1, 1/2, 1/4 or 1/8 as wide and high.
 */
export function shrink(picture, atLeast, orientation) {
  const { width, height } = picture;
  const possible = Math.min(Math.floor(width / atLeast), Math.floor(height / atLeast));
  const by = [8, 4, 2].find((each) => possible >= each);
  if (!by) return picture;
  const left = FROM_RIGHT.includes(orientation) ? -(-width & (by - 1)) : 0;
  const top = FROM_BELOW.includes(orientation) ? -(-height & (by - 1)) : 0;
  return reduce(picture, by, by, [left, top, width, height]);
}

/**
 * Squeeze a picture, or a part of it, into the model's square.
 *
 * @param {Picture} picture
 * @param {number} side pixels of each side of the result.
 * @param {Box} [box] of the part, in pixels; the whole picture without it.
 * @returns {Uint8Array} side × side × 3, RGB.
 */
export function resize(picture, side, box = [0, 0, picture.width, picture.height]) {
  let planes = picture;
  let [left, top, right, bottom] = box;
  const across = Math.floor((right - left) / side / GAP) || 1;
  const down = Math.floor((bottom - top) / side / GAP) || 1;
  if (across > 1 || down > 1) {
    const safe = around(picture, side, box);
    planes = reduce(picture, across, down, safe);
    [left, right] = [(left - safe[0]) / across, (right - safe[0]) / across];
    [top, bottom] = [(top - safe[1]) / down, (bottom - safe[1]) / down];
  }
  const depth = channels(planes);
  const columns = weights(planes.width, left, right, side);
  const rows = weights(planes.height, top, bottom, side);
  if (planes.height > planes.width * NARROW && side < planes.height) {
    const low = vertical(withoutAlpha(planes), planes.width, rows);
    return horizontal(low, planes.width, CHANNELS, 0, side, columns);
  }
  const first = rows.starts[0];
  const last = rows.starts[side - 1] + rows.counts[side - 1];
  const narrow = horizontal(planes.data, planes.width, depth, first, last, columns);
  rows.starts.forEach((start, index) => {
    rows.starts[index] = start - first;
  });
  return vertical(narrow, side, rows);
}

/**
 * Return the whole pixels that a part needs, those included that the filter reaches beyond it.
 *
 * @param {Picture} picture
 * @param {number} side
 * @param {Box} box
 * @returns {Box}
 */
function around(picture, side, [left, top, right, bottom]) {
  const across = (0.5 * (right - left)) / side;
  const down = (0.5 * (bottom - top)) / side;
  return [
    Math.max(0, Math.trunc(left - across)),
    Math.max(0, Math.trunc(top - down)),
    Math.min(picture.width, Math.ceil(right + across)),
    Math.min(picture.height, Math.ceil(bottom + down)),
  ];
}

/**
 * Average boxes of pixels; those at the right and lower edge may be smaller.
 *
 * @param {Picture} picture
 * @param {number} across pixels of a box, at least 1.
 * @param {number} down
 * @param {Box} box whole pixels: of the part to reduce; what lies left of the picture or above it is passed over.
 * @returns {Picture} with three channels.
 */
function reduce(picture, across, down, [left, top, right, bottom]) {
  const width = Math.ceil((right - left) / across);
  const height = Math.ceil((bottom - top) / down);
  const { data } = picture;
  const depth = channels(picture);
  const reduced = new Uint8Array(width * height * CHANNELS);
  let at = 0;
  for (let y = top; y < bottom; y += down) {
    const above = Math.max(y, 0);
    const below = Math.min(y + down, bottom);
    for (let x = left; x < right; x += across) {
      const before = Math.max(x, 0);
      const beside = Math.min(x + across, right);
      const count = (below - above) * (beside - before);
      let red = count >> 1;
      let green = red;
      let blue = red;
      for (let row = above; row < below; row++) {
        const end = (row * picture.width + beside) * depth;
        for (let from = (row * picture.width + before) * depth; from < end; from += depth) {
          red += data[from];
          green += data[from + 1];
          blue += data[from + 2];
        }
      }
      const share = Math.trunc(Math.fround(2 ** 24 / count)); // Pillow divides so, in single precision
      reduced[at++] = (red * share) / 2 ** 24;
      reduced[at++] = (green * share) / 2 ** 24;
      reduced[at++] = (blue * share) / 2 ** 24;
    }
  }
  return { width, height, data: reduced };
}

/**
 * Return the weights of a filter for one side.
 *
 * @param {number} size pixels of the source.
 * @param {number} from where the part begins, in pixels.
 * @param {number} to where it ends.
 * @param {number} side pixels of the result.
 * @param {(away: number) => number} [filter] triangle unless given.
 * @param {number} [reach] of the filter, in pixels.
 * @returns {Weights}
 */
export function weights(size, from, to, side, filter = triangle, reach = 1) {
  const start = Math.fround(from);
  const scale = Math.fround(Math.fround(to) - start) / side;
  const wide = Math.max(scale, 1);
  const support = reach * wide;
  const most = Math.ceil(support) * 2 + 1;
  const found = {
    starts: new Int32Array(side),
    counts: new Int32Array(side),
    values: new Float64Array(side * most),
    most,
  };
  for (let each = 0; each < side; each++) {
    const centre = start + (each + 0.5) * scale;
    const low = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), size) - low;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const weight = filter((i + low - centre + 0.5) * (1 / wide));
      found.values[each * most + i] = weight;
      sum += weight;
    }
    if (sum) for (let i = 0; i < count; i++) found.values[each * most + i] /= sum;
    found.starts[each] = low;
    found.counts[each] = count;
  }
  return found;
}

/** @param {number} away */
function triangle(away) {
  return Math.max(1 - Math.abs(away), 0);
}

/** @param {Picture} picture */
function channels({ width, height, data }) {
  return data.length / (width * height);
}

/** @param {number} sum in fixed point. */
function clipped(sum) {
  return Math.min(sum >> BITS, 255);
}

/** @param {Weights} made */
function fixed({ values }) {
  const factors = new Int32Array(values.length);
  for (let i = 0; i < factors.length; i++) factors[i] = Math.trunc(0.5 + values[i] * 2 ** BITS);
  return factors;
}

/**
 * Resize each row.
 *
 * @param {Uint8Array | Uint8ClampedArray} data
 * @param {number} width of the source.
 * @param {number} depth channels of the source, of which three are kept.
 * @param {number} first row.
 * @param {number} last row, which is left out.
 * @param {Weights} columns
 * @returns {Uint8Array} (last - first) × side × 3.
 */
function horizontal(data, width, depth, first, last, columns) {
  const { starts, counts, most } = columns;
  const side = starts.length;
  const factors = fixed(columns);
  const result = new Uint8Array((last - first) * side * CHANNELS);
  let at = 0;
  // Sums may pass 2 ** 30, from which on engines count in doubles unless they are told that 32 bits are enough.
  for (let row = first; row < last; row++) {
    for (let column = 0; column < side; column++) {
      let red = 1 << (BITS - 1);
      let green = red;
      let blue = red;
      let from = (row * width + starts[column]) * depth;
      const end = column * most + counts[column];
      for (let i = column * most; i < end; i++, from += depth) {
        const factor = factors[i];
        red = (red + Math.imul(data[from], factor)) | 0;
        green = (green + Math.imul(data[from + 1], factor)) | 0;
        blue = (blue + Math.imul(data[from + 2], factor)) | 0;
      }
      result[at++] = clipped(red);
      result[at++] = clipped(green);
      result[at++] = clipped(blue);
    }
  }
  return result;
}

/**
 * Resize each column.
 *
 * @param {Uint8Array} data with three channels.
 * @param {number} width of source and result.
 * @param {Weights} rows
 * @returns {Uint8Array} side × width × 3.
 */
function vertical(data, width, rows) {
  const { starts, counts, most } = rows;
  const factors = fixed(rows);
  const stride = width * CHANNELS;
  const result = new Uint8Array(starts.length * stride);
  const few = new Int32Array(AT_ONCE);
  for (let row = 0; row < starts.length; row++) {
    const count = counts[row];
    const factor = row * most;
    const start = row * stride;
    const above = starts[row] * stride;
    if (count > AT_ONCE) {
      for (let at = 0; at < stride; at++) {
        let sum = 1 << (BITS - 1);
        for (let i = 0, from = above + at; i < count; i++, from += stride) {
          sum = (sum + Math.imul(data[from], factors[factor + i])) | 0;
        }
        result[start + at] = clipped(sum);
      }
    } else {
      // The common case, with no loop inside. A row past the count counts nothing: the first one stands in for it.
      for (let i = 0; i < AT_ONCE; i++) few[i] = i < count ? factors[factor + i] : 0;
      const [first, second, third, fourth] = few;
      const [two, three, four] = [1, 2, 3].map((i) => (i < count ? i * stride : 0));
      for (let at = 0, from = above; at < stride; at++, from++) {
        const sum =
          (1 << (BITS - 1)) +
          Math.imul(data[from], first) +
          Math.imul(data[from + two], second) +
          Math.imul(data[from + three], third) +
          Math.imul(data[from + four], fourth);
        result[start + at] = clipped(sum);
      }
    }
  }
  return result;
}

/**
 * @param {Picture} picture
 * @returns {Uint8Array} height × width × 3.
 */
function withoutAlpha({ width, height, data }) {
  const depth = data.length / (width * height);
  const kept = new Uint8Array(width * height * CHANNELS);
  for (let at = 0, from = 0; at < kept.length; at += CHANNELS, from += depth) {
    for (let channel = 0; channel < CHANNELS; channel++) kept[at + channel] = data[from + channel];
  }
  return kept;
}
