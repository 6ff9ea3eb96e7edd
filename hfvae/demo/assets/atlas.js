// The encoded test set: fetched once a model, projected onto its principal axes, drawn by class.
hf.colours ??= ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
hf.atlas ??= (() => {
  const known = new Map(); // model name -> promise of its atlas
  return (model) => {
    if (!model.hasMap) return Promise.resolve(null);
    if (!known.has(model.name)) known.set(model.name, fetched(model.name));
    return known.get(model.name);
  };

  // Whatever the page turns to meanwhile, the answer is kept.
  async function fetched(name) {
    const { answer } = await hf.insist(server.atlas, () => ({ model: name }));
    if (!answer.error) return unpack(answer);
    known.delete(name); // asked again when the model is next chosen
    return null;
  }

  function unpack(answer) {
    const floats = (text) => new Float32Array(hf.bytes(text).buffer);
    const [centre, directions, spread] = [floats(answer.centre), floats(answer.directions), floats(answer.spread)];
    const codes = hf.halves(hf.bytes(answer.codes));
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
      labels, points, axes, spread, code, along,
      reach: distances.at(-1), // how far from the middle the points go
      usual: distances[Math.floor(0.99 * (distances.length - 1))], // and nearly all of them
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
          context.fillStyle = hf.colours[labels[i]];
          context.fillRect(x0 + scale * points[2 * i] - size / 2, y0 - scale * points[2 * i + 1] - size / 2, size, size);
        }
      },
    };
  }
})();
hf.init(props.models, server);
