import assert from "node:assert/strict";
import test from "node:test";
import { composite, framed } from "../../hfvae/demo/draw/photo.js";

const rgba = (...pixels) => Uint8ClampedArray.from(pixels.flat());

test("an opaque picture is its luminance", () => {
  const grey = composite(rgba([255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [9, 9, 9, 255]), 2, 2);
  assert.deepEqual(Array.from(grey, Math.round), [76, 150, 29, 9]);
});

test("ink of one colour on nothing lies on a ground of the other", () => {
  const black = composite(rgba([0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 0]), 2, 2);
  assert.deepEqual([...black], [0, 255, 0, 0], "black ink becomes light");
});

test("ink is cropped and centred, its longer side as long as the box", () => {
  const ink = new Float32Array(100 * 100);
  for (let y = 10; y < 90; y++) for (let x = 70; x < 90; x++) ink[100 * y + x] = 0.5;
  const levels = framed({ ink, width: 100 }, 20);
  const rows = [...Array(28).keys()].filter((y) => levels.subarray(28 * y, 28 * y + 28).some((level) => level > 0));
  const columns = [...Array(28).keys()].filter((x) => rows.some((y) => levels[28 * y + x] > 0));
  assert.deepEqual([rows[0], rows.at(-1), columns[0], columns.at(-1)], [4, 23, 11, 15]);
  assert.equal(Math.max(...levels), 255, "the strongest ink is white");
});
