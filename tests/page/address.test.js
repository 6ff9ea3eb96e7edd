import assert from "node:assert/strict";
import test from "node:test";
import { readAddress, writeAddress } from "../../hfvae/demo/page/address.js";

const TWO = { name: "user/two", latentDim: 2, span: 3 };
const MANY = { name: "many", latentDim: 32, span: 3 };
const HREF = "https://host/vae/?__theme=dark&tab=map&z=9";
const STROKE = "0m0a0a1a1a";

/** What an address says to a page that shows TWO. */
const read = (href, kept) => readAddress(new URL(href, HREF).searchParams, kept, [TWO, MANY], TWO);

test("what is written is read, and what is foreign stays", () => {
  const said = { model: "user/two", z: [0.1234567, -1e-7], by: "draw", tab: null, drawing: STROKE };
  const href = writeAddress(HREF, said);
  assert.equal(new URL(href).searchParams.get("__theme"), "dark");
  assert.equal(new URL(href).searchParams.has("tab"), false);
  const { model, z, origin, drawing, problems } = read(href);
  assert.deepEqual({ model, z, origin, drawing, problems }, { model: TWO, z: [0.12346, 0], origin: "draw", drawing: STROKE, problems: [] });
});

test("an address that says nothing leaves the model as it is", () => {
  assert.deepEqual(read("?"), { model: TWO, z: null, origin: null, drawing: null, problems: [] });
});

test("a point must fit its model", () => {
  for (const z of ["", "1", "1,2,3", "1,", "1,0x10", "1,Infinity", "1,NaN", "1, 2", "1,12.1"]) {
    const { z: point, origin, problems } = read(`?z=${z}`);
    assert.equal(point, null, z);
    assert.equal(origin, null);
    assert.deepEqual(problems, [["link.point", { name: "user/two", count: 2, reach: 12 }]]);
  }
  assert.deepEqual(read("?z=1,-1.5e0").z, [1, -1.5]);
});

test("a point is the drawing's own only beside the drawing", () => {
  assert.equal(read("?z=1,2&by=draw").origin, "link");
  assert.equal(read(`?z=1,2&by=draw&drawing=${STROKE}`).origin, "draw");
  assert.equal(read("?z=1,2&by=draw", STROKE).origin, "draw", "which the history keeps");
  assert.equal(read("?z=1,2&by=nobody").origin, "link");
});

test("what cannot be shown is named", () => {
  assert.deepEqual(read("?model=none").problems, [["link.model", { name: "none" }]]);
  assert.equal(read("?model=none").model, null);
  assert.deepEqual(read("?drawing=!").problems, [["link.drawing", {}]]);
});
