/**
 * Which way up a JPEG was taken.
 */

const EXIF = "Exif\0\0";
const ORIENTATION = 0x0112;
const APP1 = 0xe1;
const SCAN = 0xda;

/**
 * Return whether a file begins as JPEGs do.
 *
 * @param {Uint8Array} file
 */
export function isJpeg(file) {
  return file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff;
}

/**
 * Return the orientation that a JPEG's EXIF names; 1 where it names none or makes no sense.
 *
 * @param {Uint8Array} file
 * @returns {number} 1 to 8.
 */
export function orientation(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  try {
    for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== SCAN; ) {
      const begin = at + 4;
      const named = String.fromCharCode(...file.subarray(begin, begin + EXIF.length));
      if (view.getUint8(at + 1) === APP1 && named === EXIF) return inTiff(view, begin + EXIF.length);
      at += 2 + view.getUint16(at + 2);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ends before it says so
  }
  return 1;
}

/**
 * @param {DataView} view
 * @param {number} start of the TIFF header.
 */
function inTiff(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const list = start + view.getUint32(start + 4, little);
  for (let entry = 0; entry < view.getUint16(list, little); entry++) {
    const at = list + 2 + 12 * entry;
    if (view.getUint16(at, little) === ORIENTATION) {
      const found = view.getUint16(at + 8, little);
      return found >= 1 && found <= 8 ? found : 1;
    }
  }
  return 1;
}
