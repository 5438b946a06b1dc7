import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { BundleError, read, verified } from "../../../web/browser/bundle.js";
import { check, draw, SelfTestError } from "../../../web/browser/selftest.js";
import { FormatError, withKnownShapes } from "../../../web/browser/tflite.js";

const BUNDLE = new URL("../../../cat_model/bundle/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", BUNDLE), "utf-8"));
const model = new Uint8Array(readFileSync(new URL("model.tflite", BUNDLE)));

test("the shipped bundle is read", async () => {
  const bundle = await verified(manifest, model);
  assert.equal(bundle.version, manifest.version);
  assert.equal(bundle.side, manifest.input.side);
  assert.equal(bundle.decision.cat, manifest.threshold);
  assert.equal(bundle.recorded.length, manifest.golden.length);
  assert.equal(bundle.plan?.kind, "zooms");
});

test("bundles that are damaged or out of order are refused", async () => {
  const flipped = model.slice();
  flipped[1000] ^= 1;
  const wrong = [
    { ...manifest, schema: 3 },
    { ...manifest, threshold: 2 },
    { ...manifest, unsure: [0.9, 0.1] },
    { ...manifest, golden: [] },
    { ...manifest, version: undefined },
    { ...manifest, model: undefined },
    { ...manifest, cascade: { ...manifest.cascade, zooms: [] } },
    { ...manifest, cascade: { bound: 1 } },
  ];
  for (const each of wrong) await assert.rejects(verified(each, model), BundleError);
  await assert.rejects(verified(manifest, flipped), /sha256/);
  await assert.rejects(verified(manifest, model.slice(1)), /bytes/);
});

test("a server that has no bundle, or none that can be read, is said", async (context) => {
  const answers = [new Response("", { status: 404 }), new Response("<html>")];
  context.mock.method(globalThis, "fetch", async () => answers.shift() ?? Promise.reject(new TypeError("no network")));
  for (const said of [/HTTP 404/, /JSON/, /no network/]) {
    await assert.rejects(read(new URL("http://127.0.0.1/bundle/")), (error) => {
      return error instanceof BundleError && said.test(error.message);
    });
  }
});

test("unknown sizes become those of the shapes, and nothing else changes", () => {
  const known = withKnownShapes(model);
  assert.equal(known.length, model.length);
  const changed = model.reduce((count, byte, index) => count + Number(byte !== known[index]), 0);
  assert.ok(changed > 0 && changed % 4 === 0, `${changed} bytes`);
  assert.deepEqual(withKnownShapes(known), known);
});

test("what is no TFLite model is refused, wherever it ends", () => {
  for (const length of [0, 3, 8, 20, 40]) assert.throws(() => withKnownShapes(model.slice(0, length)), FormatError);
  assert.throws(() => withKnownShapes(new TextEncoder().encode("not a model at all")), FormatError);
});

test("the self-test takes the recorded answers, and nothing far from them", async () => {
  const [recorded] = manifest.golden;
  const outputs = {
    probability: recorded.probability,
    embedding: Float32Array.from(recorded.embedding),
    share: { height: 0, width: 0, data: new Float32Array() },
    catMap: null,
  };
  /** @param {object} other */
  const answering = (other) => ({ side: 8, run: async () => ({ ...outputs, ...other }) });
  await check(answering({}), [recorded]);
  const wrong = [
    { probability: recorded.probability + 0.2 },
    { probability: Number.NaN },
    { embedding: outputs.embedding.map((value) => 2 * value) },
    { embedding: new Float32Array(3) },
  ];
  for (const each of wrong) await assert.rejects(check(answering(each), [recorded]), SelfTestError);
});

test("the self-test's pictures are those of a number", () => {
  assert.notDeepEqual(draw(1, 16), draw(2, 16));
  assert.deepEqual(draw(1, 16), draw(1, 16));
});
