// A dense decoder in the page: latent point -> 784 grey levels in [0, 1], as Python's to 1e-3.
window.hfvae.halves ??= (bytes) => {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Float32Array.from(halves, (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction; // IEEE 754 binary16
    return half >> 15 ? -size : size;
  });
};
window.hfvae.makeDecoder ??= ({ widths, weights, precision, activations, finish, scale, offset }) => {
  const hf = window.hfvae;
  const functions = {
    relu: (x) => (x > 0 ? x : 0),
    leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    silu: (x) => x / (1 + Math.exp(-x)),
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    identity: (x) => x,
  };
  const grey = (x) => Math.min(1, Math.max(0, scale * functions[finish](x) + offset));
  const bytes = hf.bytes(weights);
  const numbers = precision === "float16" ? hf.halves(bytes) : new Float32Array(bytes.buffer);
  let start = 0;
  const take = (count) => numbers.subarray(start, (start += count));
  const layers = widths.slice(1).map((outputs, i) => ({ matrix: take(widths[i] * outputs), bias: take(outputs) }));

  return (z) => {
    let values = Float32Array.from(z);
    layers.forEach(({ matrix, bias }, depth) => {
      const inputs = values.length;
      const next = new Float32Array(bias.length);
      const after = depth < layers.length - 1 ? functions[activations[depth]] : grey;
      for (let o = 0, w = 0; o < bias.length; o++) {
        let sum = bias[o];
        for (let i = 0; i < inputs; i++) sum += matrix[w++] * values[i];
        next[o] = after(sum);
      }
      values = next;
    });
    return values;
  };
};
