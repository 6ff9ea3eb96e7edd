import assert from "node:assert/strict";
import test from "node:test";
import { beginStroke, extendStroke, readMarks, writeMarks } from "../../hfvae/demo/page/strokes.js";

test("a drawing is the same after it was written and read", () => {
  const line = beginStroke(22, [10.4, 279.6]);
  for (const place of [[60, 200], [339, -59], [-60, 340]]) extendStroke(line, place);
  const marks = [line, beginStroke(14, [0, 0])];
  extendStroke(marks[1], [100, 100]);
  assert.deepEqual(readMarks(writeMarks(marks)), marks);
});

test("a point replaces the last one as long as it is near", () => {
  const line = beginStroke(22, [100, 100]);
  extendStroke(line, [102, 100]);
  extendStroke(line, [104, 100]);
  assert.deepEqual(line.points, [[100, 100], [104, 100]]);
  extendStroke(line, [110, 100]);
  extendStroke(line, [120, 100]);
  assert.deepEqual(line.points, [[100, 100], [110, 100], [120, 100]]);
});

test("a stroke ends near the pad", () => {
  assert.deepEqual(beginStroke(22, [-1e9, 1e9]).points, [[-60, 340]]);
});

test("a picture hides the marks before it, and keeps its grey levels", () => {
  const levels = Uint8Array.from({ length: 784 }, (_, i) => i % 256);
  const after = beginStroke(22, [5, 5]);
  const text = writeMarks([beginStroke(22, [1, 1]), { levels }, after]);
  assert.deepEqual(readMarks(text), [{ levels }, after]);
  assert.match(text, /^[\w.-]+$/, "an address leaves its characters as they are");
});

test("what is no drawing is refused whole", () => {
  assert.equal(writeMarks([]), null);
  for (const text of [null, "", "nonsense!", "0a", "000000", "zz0101", "I" + "A".repeat(1045), `${writeMarks([beginStroke(22, [1, 1])])}-?`]) {
    assert.equal(readMarks(text), null, String(text));
  }
});
