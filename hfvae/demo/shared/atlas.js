// The encoded test set: fetched once a model, laid out in a plane, drawn by class.
// A colour for each of `count` classes: ten that colour-blind people can tell apart (Petroff 2021, arXiv 2107.02270), or
// evenly spaced hues if there are more classes.
window.hfvae.colours ??= (count) => {
  const ten = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];
  return count <= ten.length ? ten.slice(0, count) : Array.from({ length: count }, (_, i) => `hsl(${(360 * i) / count} 70% 50%)`);
};
// A mark for each class besides its colour, as paths to fill in a square from -1 to 1.
window.hfvae.marks ??= [
  "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0", "M-.9 -.9H.9V.9H-.9", "M0 -1L1 .8H-1", "M0 1L1 -.8H-1", "M0 -1.1L1.1 0L0 1.1L-1.1 0",
  "M-.35 -1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35", "M-1 -1L-.3 0L-1 1H1L.3 0L1 -1", "M-1.1 -.5H1.1V.5H-1.1",
  "M-.5 -1.1H.5V1.1H-.5", "M-1 -1H1L-1 1",
].map((path) => new Path2D(path));
// A class's mark in its colour, `size` pixels wide.
window.hfvae.stamp ??= (label, colour, size) => {
  const { marks } = window.hfvae;
  const canvas = Object.assign(document.createElement("canvas"), { width: size + 2, height: size + 2 });
  const pen = canvas.getContext("2d");
  pen.translate(canvas.width / 2, canvas.height / 2);
  pen.scale(size / 2, size / 2);
  pen.fillStyle = colour;
  pen.fill(marks[label % marks.length]);
  return canvas;
};
window.hfvae.atlas ??= (() => {
  const hf = window.hfvae;
  const NEAREST = 10; // codes whose places a new point's place is the mean of
  const known = new Map(); // model name -> promise of its atlas
  return (model, server) => {
    if (!model.hasMap) return Promise.resolve(null);
    if (!known.has(model.name)) known.set(model.name, fetched(model, server));
    return known.get(model.name);
  };

  // The answer is kept, whichever model the page shows when it comes.
  async function fetched(model, server) {
    const { answer } = await hf.retry(server.atlas, () => ({ model: model.name }));
    if (!answer.error) return unpack(answer, hf.colours(model.classes.length));
    known.delete(model.name); // asked again when the model is next chosen
    return null;
  }

  function unpack(answer, colours) {
    const floats = (text) => new Float32Array(hf.bytes(text).buffer);
    const [centre, directions, spread] = [floats(answer.centre), floats(answer.directions), floats(answer.spread)];
    const codes = float16(hf.bytes(answer.codes).buffer);
    const labels = hf.bytes(answer.labels);
    const dim = centre.length;
    const code = (i) => codes.subarray(dim * i, dim * (i + 1));
    const direction = (axis) => Float32Array.from(centre, (_, i) => directions[spread.length * i + axis]);
    const axes = Array.from(spread, (_, axis) => direction(axis));
    const along = (axis, z) => axes[axis].reduce((sum, part, i) => sum + (z[i] - centre[i]) * part, 0);

    // Where the codes are in the plane, and how far they reach.
    function layout(points, place) {
      const fromMiddle = (_, i) => Math.max(Math.abs(points[2 * i]), Math.abs(points[2 * i + 1]));
      const distances = Float32Array.from(labels, fromMiddle).sort();
      const middle = (label) => [0, 1].map((axis) => {
        const values = Array.from(labels.keys()).filter((i) => labels[i] === label).map((i) => points[2 * i + axis]);
        return values.sort((a, b) => a - b)[values.length >> 1];
      });
      return {
        points, place,
        names: [...new Set(labels)].map((label) => [label, middle(label)]), // a class's name stands at its median
        reach: distances.at(-1), // the largest distance of a point from the middle
        usual: distances[Math.floor(0.99 * (distances.length - 1))], // and that of nearly all points
      };
    }
    function projected() {
      const points = new Float32Array(2 * labels.length);
      for (let i = 0; i < labels.length; i++) for (const axis of [0, 1]) points[2 * i + axis] = along(axis, code(i));
      return layout(points, (z) => [along(0, z), along(1, z)]);
    }
    // The mean of the places of the nearest codes, weighted by the inverse of their squared distances.
    function amongNeighbours(places) {
      return layout(places, (z) => {
        const best = []; // [distance, index], the nearest first
        for (let i = 0; i < labels.length; i++) {
          let distance = 0;
          const limit = best[NEAREST - 1]?.[0] ?? Infinity;
          for (let j = dim * i, k = 0; k < dim && distance < limit; k++) distance += (codes[j + k] - z[k]) ** 2;
          if (distance >= limit) continue;
          best.splice(best.findIndex(([other]) => other > distance) >>> 0, 0, [distance, i]);
          best.length = Math.min(best.length, NEAREST);
        }
        const weights = best.map(([distance]) => 1 / (distance + 1e-9));
        const all = weights.reduce((sum, weight) => sum + weight);
        return [0, 1].map((axis) => best.reduce((sum, [, i], n) => sum + weights[n] * places[2 * i + axis], 0) / all);
      });
    }
    const layouts = {};
    if (answer.places) layouts.neighbours = amongNeighbours(float16(hf.bytes(answer.places).buffer));
    layouts.directions = projected();

    const atlas = {
      labels, colours, axes, spread, code, along, layouts,
      ...Object.values(layouts)[0],
      chosen: Object.keys(layouts)[0],
      choose(name) {
        Object.assign(atlas, layouts[name], { chosen: name });
        hf.notify("layout");
      },
      nearest(x, y, hidden) {
        const { points } = atlas;
        let best = -1;
        let least = Infinity;
        for (let i = 0; i < labels.length; i++) {
          const distance = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2;
          if (distance < least && !hidden?.has(labels[i])) [best, least] = [i, distance];
        }
        return best;
      },
      // All points, faint, on a square canvas of their own around the middle.
      backdrop(side, scale, size) {
        const layer = Object.assign(document.createElement("canvas"), { width: side, height: side });
        const brush = layer.getContext("2d");
        brush.globalAlpha = 0.4;
        atlas.draw(brush, [scale, side / 2, side / 2], size);
        return layer;
      },
      // Draw the points; [scale, x of 0, y of 0] leads from map coordinates to pixels.
      draw(context, [scale, x0, y0], size, hidden) {
        const { points } = atlas;
        const stamps = size >= 4 ? colours.map((colour, label) => hf.stamp(label, colour, Math.round(size))) : null;
        for (let i = 0; i < labels.length; i++) {
          const label = labels[i];
          if (hidden?.has(label)) continue;
          const [x, y] = [x0 + scale * points[2 * i], y0 - scale * points[2 * i + 1]];
          if (stamps) context.drawImage(stamps[label], Math.round(x - stamps[label].width / 2), Math.round(y - stamps[label].width / 2));
          else {
            context.fillStyle = colours[label];
            context.fillRect(x - size / 2, y - size / 2, size, size);
          }
        }
      },
    };
    return atlas;
  }
})();
