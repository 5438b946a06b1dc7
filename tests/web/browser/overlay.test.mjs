import assert from "node:assert/strict";
import test from "node:test";

import { FINE, GRID, heat, spread } from "../../../web/browser/overlay.js";

test("spreading keeps the sum, and a zoom's share stays where the zoom was", () => {
  const share = { height: 3, width: 3, data: Float32Array.from({ length: 9 }, (_, i) => i - 3) };
  const found = spread(share, [0.5, 0.5, 1, 1]);
  const sum = found.reduce((all, value) => all + value, 0);
  assert.ok(Math.abs(sum - 9) < 1e-9);
  assert.ok(Math.abs(found[0]) < 0.01);
});

test("orange speaks for a cat, blue against, and what hardly matters is left out", () => {
  const squares = new Float64Array(GRID * GRID);
  squares[0] = 2;
  squares[GRID * GRID - 1] = -2;
  const { width, data } = heat(squares);
  assert.equal(width, GRID * FINE);
  assert.deepEqual([...data.slice(0, 3)], [230, 97, 1]);
  assert.ok(data[3] > 150);
  assert.deepEqual([...data.slice(-4, -1)], [33, 102, 172]);
  assert.equal(data[((width / 2) * width + width / 2) * 4 + 3], 0);
});
