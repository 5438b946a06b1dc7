import assert from "node:assert/strict";
import test from "node:test";

import { isJpeg, orientation } from "../../../web/browser/exif.js";
import { pixels, resize, shrink } from "../../../web/browser/photo.js";

/**
 * A picture whose red is the column and whose green is the row.
 *
 * @param {number} width
 * @param {number} height
 */
function slope(width, height) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([x, y, 9, 255], (y * width + x) * 4);
  }
  return { width, height, data };
}

test("a picture of the model's size stays as it is", () => {
  assert.deepEqual([...resize(slope(2, 2), 2)], [0, 0, 9, 1, 0, 9, 0, 1, 9, 1, 1, 9]);
});

test("one colour stays one colour at every size, narrow strips included", () => {
  for (const [width, height] of [[1, 1], [17, 3], [300, 40], [16, 1700], [90, 91]]) {
    const picture = { width, height, data: new Uint8Array(width * height * 4).fill(201) };
    assert.ok(resize(picture, 8).every((value) => value === 201), `${width} × ${height}`);
  }
});

test("a part is cut between pixels", () => {
  assert.deepEqual([...resize(slope(40, 40), 2, [10, 20, 14, 24])], [11, 21, 9, 13, 21, 9, 11, 23, 9, 13, 23, 9]);
});

test("three channels give what four give", () => {
  const picture = slope(50, 70);
  const data = picture.data.filter((_, index) => index % 4 < 3);
  assert.deepEqual(resize({ ...picture, data }, 6), resize(picture, 6));
});

test("pixels that are there are taken as they are", () => {
  const picture = slope(3, 3);
  assert.equal(pixels(picture), picture);
});

test("a big JPEG is halved from the corner at which its file begins", () => {
  const picture = slope(5, 4);
  assert.deepEqual([...shrink(picture, 2, 1).data].slice(0, 9), [1, 1, 9, 3, 1, 9, 4, 1, 9]);
  assert.deepEqual([...shrink(picture, 2, 3).data].slice(0, 9), [0, 1, 9, 2, 1, 9, 4, 1, 9]);
  assert.equal(shrink(picture, 3, 1), picture);
  assert.equal(shrink(slope(64, 80), 8, 1).width, 8);
});

/**
 * The head of a JPEG with an orientation in EXIF.
 *
 * @param {number} value
 * @param {boolean} little endian
 */
function head(value, little) {
  const tiff = new DataView(new ArrayBuffer(8 + 2 + 24));
  tiff.setUint16(0, little ? 0x4949 : 0x4d4d);
  tiff.setUint16(2, 42, little);
  tiff.setUint32(4, 8, little);
  tiff.setUint16(8, 2, little);
  tiff.setUint16(10, 0x010f, little);
  tiff.setUint16(22, 0x0112, little);
  tiff.setUint16(22 + 8, value, little);
  const exif = [...new TextEncoder().encode("Exif\0\0"), ...new Uint8Array(tiff.buffer)];
  return Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xe1, 0, exif.length + 2, ...exif, 0xff, 0xda]);
}

test("EXIF says which way up a JPEG was taken", () => {
  for (const little of [true, false]) {
    assert.equal(orientation(head(6, little)), 6);
    assert.equal(orientation(head(9, little)), 1);
  }
  assert.ok(isJpeg(head(1, true)));
});

test("a file without EXIF, or cut short within it, lies as it is", () => {
  const whole = head(6, true);
  for (let length = 0; length < 40; length++) assert.equal(orientation(whole.slice(0, length)), 1);
  assert.equal(orientation(Uint8Array.from([0xff, 0xd8, 0xff, 0xda, 0, 0])), 1);
});
