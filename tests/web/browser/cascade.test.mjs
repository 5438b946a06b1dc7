import assert from "node:assert/strict";
import test from "node:test";

import { around, Cascade, CascadeError, closer, combine, grid, peak, plan, tiles } from "../../../web/browser/cascade.js";
import { sigmoid } from "../../../web/browser/verdict.js";

const STORED = {
  bound: -3,
  ceiling: 3,
  inner_below: -400,
  zooms: [0.4, 0.6],
  inner: null,
  quick: { combinations: [{ weights: { full: 0.4, zoom: 0.5 }, bias: 0.1 }] },
  thorough: {
    bound: -1000,
    grid: 3,
    side: 0.4,
    inner: 0.2,
    combinations: [{ weights: { grid_inner: 0.5 }, bias: 0 }],
    threshold: 0.8,
    unsure: [0.5, 0.9],
  },
};

/**
 * A runtime that gives these logits one after the other, with the peak of its map at the lower right.
 *
 * @param {number[]} logits
 */
function runtime(logits) {
  const left = [...logits];
  const one = new Float32Array([0, 0, 0, 1]);
  return {
    side: 4,
    left,
    run: async () => ({
      probability: sigmoid(/** @type {number} */ (left.shift())),
      embedding: new Float32Array(1),
      share: { height: 1, width: 1, data: new Float32Array(1) },
      catMap: { height: 2, width: 2, data: one },
    }),
  };
}

const picture = { width: 20, height: 10, data: new Uint8Array(20 * 10 * 4) };

/** @param {number} number */
function rounded(number) {
  return Math.round(number * 1e6) / 1e6;
}

test("a sure full view stands alone", async () => {
  for (const sure of [-3.1, 3.1]) {
    const seen = runtime([sure]);
    const answer = await new Cascade(seen, plan({ cascade: STORED })).answer(picture);
    assert.equal(rounded(answer.logit), sure);
    assert.deepEqual(Object.keys(answer.passes), ["full"]);
    assert.equal(closer(answer), null);
  }
});

test("an unsure one gets zooms at the map's peak, of which the strongest counts", async () => {
  const answer = await new Cascade(runtime([1, 0.5, 2]), plan({ cascade: STORED })).answer(picture);
  assert.equal(rounded(answer.logit), rounded(0.1 + 0.4 * 1 + 0.5 * 2));
  assert.equal(rounded(answer.probability), rounded(sigmoid(answer.logit)));
  assert.deepEqual(closer(answer)?.map(rounded), [0.4, 0.4, 1, 1]);
  assert.equal(rounded(answer.passes.narrow.logit), 0.5);
});

test("the zoom within a zoom is made where the rest is weak, and counts where it is stronger", async () => {
  const combinations = [...STORED.quick.combinations, { weights: { inner: 1 }, bias: 0 }];
  const stored = { ...STORED, inner: 0.2, inner_below: 0.5, quick: { combinations } };
  const weak = await new Cascade(runtime([-1, -1, -1, 2]), plan({ cascade: stored })).answer(picture);
  assert.equal(rounded(weak.logit), 2);
  const strong = runtime([2, 2, 2]);
  assert.equal("inner" in (await new Cascade(strong, plan({ cascade: stored })).answer(picture)).passes, false);
});

test("the thorough search sees the whole grid, then a zoom within its strongest view", async () => {
  const seen = runtime([-5, ...Array(8).fill(0), 1, 3]);
  const cascade = new Cascade(seen, plan({ cascade: STORED }));
  const answer = await cascade.answer(picture, true);
  assert.equal(rounded(answer.logit), 1.5);
  assert.equal(seen.left.length, 0);
  assert.deepEqual(answer.passes.grid.part.map(rounded), [0.6, 0.6, 1, 1]);
  assert.equal(cascade.search?.threshold.cat, 0.8);
});

test("tiles are seen where the full view is ambiguous", async () => {
  const stored = { low: 0.2, high: 0.8, tile: 0.6, first: 0.5, strongest: 0.5, bias: 0.25 };
  const made = plan({ second_look: stored });
  const answer = await new Cascade(runtime([0, 1, 2, 3, 1, 1]), made).answer(picture);
  assert.equal(rounded(answer.logit), 1.75);
  const sure = await new Cascade(runtime([2]), made).answer(picture);
  assert.equal(rounded(sure.logit), 2);
});

test("a recorded pass that the plan would not have made is passed over", async () => {
  const made = plan({ cascade: STORED });
  const { passes } = await new Cascade(runtime([1, 0.5, 2]), made).answer(picture);
  passes.full.logit = -4;
  assert.equal(combine(passes, made, null).logit, -4);
});

test("parts lie inside the photo", () => {
  assert.deepEqual(around([0.05, 0.95], 0.4).map(rounded), [0, 0.6, 0.4, 1]);
  assert.equal(tiles(0.6).length, 5);
  assert.deepEqual(grid(3, 0.4)[5].map(rounded), [0.6, 0.3, 1, 0.7]);
  assert.deepEqual(grid(1, 0.4), [[0, 0, 0.4, 0.4]]);
});

test("of equal cells the first is the peak, in the photo's own measure", () => {
  const cells = { height: 2, width: 2, data: new Float32Array([0, 7, 7, 1]) };
  assert.deepEqual(peak(cells, [0.5, 0, 1, 0.5]), [0.875, 0.125]);
});

test("plans out of order are refused", () => {
  /** @type {object[]} */
  const wrong = [
    { second_look: { low: 0.8, high: 0.2, tile: 0.6 } },
    { cascade: { ...STORED, zooms: [1.5] } },
    { cascade: { ...STORED, zooms: [] } },
    { cascade: { ...STORED, quick: { combinations: [{ weights: { whisker: 1 }, bias: 0 }] } } },
    { cascade: { ...STORED, inner: 0.2, quick: { combinations: [{ weights: { inner: 1 }, bias: 0 }] } } },
    { cascade: { ...STORED, thorough: { ...STORED.thorough, grid: 0 } } },
  ];
  for (const manifest of wrong) assert.throws(() => plan(manifest), CascadeError);
  assert.equal(plan({}), null);
});
