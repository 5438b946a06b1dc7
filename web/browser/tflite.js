/**
 * A small edit of a TFLite file, so that LiteRT.js takes it.
 *
 * Models that can be resized name a batch of -1 in the `shape_signature` of their tensors, which LiteRT.js
 * refuses. Here those places get the size that the tensor's `shape` has; no other byte changes. Positions are
 * those of the FlatBuffers of TensorFlow's schema.fbs.
 */

const SUBGRAPHS = 2; // of Model
const TENSORS = 0; // of SubGraph
const SHAPE = 0; // of Tensor
const SHAPE_SIGNATURE = 7;

/** A file is no TFLite model. */
export class FormatError extends Error {}

/**
 * Return a model with no unknown sizes.
 *
 * @param {Uint8Array} model the bytes of a .tflite file; they stay as they are.
 * @returns {Uint8Array<ArrayBuffer>} a copy of the same length.
 * @throws {FormatError} the bytes are no TFLite model.
 */
export function withKnownShapes(model) {
  const copy = new Uint8Array(model);
  const view = new DataView(copy.buffer);
  try {
    if (String.fromCharCode(...copy.subarray(4, 8)) !== "TFL3") throw new RangeError("no TFL3");
    for (const subgraph of tables(view, field(view, view.getUint32(0, true), SUBGRAPHS))) {
      for (const tensor of tables(view, field(view, subgraph, TENSORS))) fix(view, tensor);
    }
  } catch (error) {
    if (error instanceof RangeError) throw new FormatError("This is not a TFLite model.");
    throw error;
  }
  return copy;
}

/**
 * @param {DataView} view
 * @param {number} tensor where its table lies.
 */
function fix(view, tensor) {
  const shape = vector(view, field(view, tensor, SHAPE));
  const signature = vector(view, field(view, tensor, SHAPE_SIGNATURE));
  for (let i = 0; i < Math.min(shape.length, signature.length); i++) {
    if (view.getInt32(signature.start + 4 * i, true) < 0) {
      view.setInt32(signature.start + 4 * i, view.getInt32(shape.start + 4 * i, true), true);
    }
  }
}

/**
 * Return where a field of a table lies; 0 where the table has none.
 *
 * @param {DataView} view
 * @param {number} table
 * @param {number} number of the field, as the schema counts them.
 */
function field(view, table, number) {
  const layout = table - view.getInt32(table, true);
  const slot = 4 + 2 * number;
  const offset = slot < view.getUint16(layout, true) ? view.getUint16(layout + slot, true) : 0;
  return offset && table + offset;
}

/**
 * Return where the items of a vector begin, and how many there are.
 *
 * @param {DataView} view
 * @param {number} at where the reference to it lies; 0 for none.
 */
function vector(view, at) {
  if (!at) return { start: 0, length: 0 };
  const found = at + view.getUint32(at, true);
  return { start: found + 4, length: view.getUint32(found, true) };
}

/**
 * Yield where the tables of a vector of tables lie.
 *
 * @param {DataView} view
 * @param {number} at where the reference to the vector lies; 0 for none.
 */
function* tables(view, at) {
  const { start, length } = vector(view, at);
  for (let place = start; place < start + 4 * length; place += 4) yield place + view.getUint32(place, true);
}
