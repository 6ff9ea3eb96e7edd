// The encoded test set: fetched once a model, projected onto its principal axes, drawn by class.
// A colour for each of `count` classes: ten well-known ones, or evenly spaced hues if there are more classes.
window.hfvae.colours ??= (count) => {
  const ten = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
  return count <= ten.length ? ten.slice(0, count) : Array.from({ length: count }, (_, i) => `hsl(${(360 * i) / count} 70% 50%)`);
};
window.hfvae.atlas ??= (() => {
  const hf = window.hfvae;
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
    const points = new Float32Array(2 * labels.length);
    for (let i = 0; i < labels.length; i++) for (const axis of [0, 1]) points[2 * i + axis] = along(axis, code(i));
    const fromMiddle = (_, i) => Math.max(Math.abs(points[2 * i]), Math.abs(points[2 * i + 1]));
    const distances = Float32Array.from(labels, fromMiddle).sort();

    return {
      labels, colours, points, axes, spread, code, along,
      reach: distances.at(-1), // the largest distance of a point from the middle
      usual: distances[Math.floor(0.99 * (distances.length - 1))], // and that of nearly all points
      project: (z) => [along(0, z), along(1, z)],
      nearest(x, y, hidden) {
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
        brush.globalAlpha = 0.3;
        this.draw(brush, [scale, side / 2, side / 2], size);
        return layer;
      },
      // Draw the points; [scale, x of 0, y of 0] leads from map coordinates to pixels.
      draw(context, [scale, x0, y0], size, hidden) {
        for (let i = 0; i < labels.length; i++) {
          if (hidden?.has(labels[i])) continue;
          context.fillStyle = colours[labels[i]];
          context.fillRect(x0 + scale * points[2 * i] - size / 2, y0 - scale * points[2 * i + 1] - size / 2, size, size);
        }
      },
    };
  }
})();
