// Images on canvases, rows of them, and ways to take them away.
Object.assign(window.hfvae, {
  // A 28x28 image, white ink on black; null leaves the canvas empty.
  paint(canvas, pixels) {
    const context = canvas.getContext("2d");
    canvas.classList.toggle("hf-blank", !pixels);
    if (!pixels) return context.clearRect(0, 0, 28, 28);
    const image = context.createImageData(28, 28);
    for (let i = 0; i < 784; i++) {
      image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = pixels[i];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  },
  // A row of images, each a button if `pick(i)` is given.
  renderStrip(container, images, title, pick) {
    const hf = window.hfvae;
    while (container.children.length > images.length) container.lastChild.remove();
    while (container.children.length < images.length) {
      const cell = document.createElement(pick ? "button" : "span");
      cell.className = "hf-cell";
      if (pick) cell.type = "button";
      else cell.setAttribute("role", "img");
      cell.append(Object.assign(document.createElement("canvas"), { width: 28, height: 28 }));
      container.append(cell);
    }
    images.forEach((image, i) => {
      const cell = container.children[i];
      cell.ariaLabel = cell.title = title(i);
      if (pick) cell.onclick = () => pick(i);
      hf.paint(cell.firstChild, image);
    });
  },
  // The position of an event on a canvas, in the canvas's own pixels.
  eventPosition(canvas, event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  },
  ring(context, x, y, radius) {
    for (const [width, colour] of [[5, "black"], [2.5, "white"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  },

  // Two small buttons that save the picture in `frame`, which holds one canvas.
  offerSaving(frame, name) {
    const hf = window.hfvae;
    const buttons = Object.assign(document.createElement("span"), { className: "hf-save" });
    for (const kind of ["png", "svg"]) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: kind.toUpperCase() });
      button.title = button.ariaLabel = hf.t("save", { kind: kind.toUpperCase() });
      button.addEventListener("click", () => hf.savePicture(frame.querySelector("canvas"), kind, hf.fileName(name)));
      buttons.append(button);
    }
    frame.append(buttons);
  },
  // The name of a file about the current model, without its ending.
  fileName: (what) => `${window.hfvae.state.model.name.replaceAll("/", "-")}-${what}`,
  saveAs(content, type, name) {
    const url = URL.createObjectURL(new Blob([content], { type }));
    Object.assign(document.createElement("a"), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  },
  // A canvas as PNG, ten screen pixels a pixel for small images, or as SVG of one square a pixel.
  savePicture(canvas, kind, name) {
    const hf = window.hfvae;
    if (kind === "svg") return hf.saveAs(hf.toSVG(canvas), "image/svg+xml", `${name}.svg`);
    const factor = canvas.width > 100 ? 1 : 10;
    const large = Object.assign(document.createElement("canvas"), { width: factor * canvas.width, height: factor * canvas.height });
    const context = large.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, 0, 0, large.width, large.height);
    large.toBlob((blob) => hf.saveAs(blob, "image/png", `${name}.png`));
  },
  // Small canvases as one square a pixel; large ones, which are drawings or maps, as an embedded PNG.
  toSVG(canvas) {
    const { width, height } = canvas;
    const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" shape-rendering="crispEdges">`;
    if (width > 100) return `${open}<image width="${width}" height="${height}" href="${canvas.toDataURL()}"/></svg>`;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    let squares = "";
    for (let i = 0; i < width * height; i++) {
      const [red, green, blue, alpha] = data.subarray(4 * i, 4 * i + 4);
      if (!alpha) continue;
      const place = `x="${i % width}" y="${Math.floor(i / width)}" width="1" height="1"`;
      squares += `<rect ${place} fill="rgb(${red},${green},${blue})" fill-opacity="${(alpha / 255).toFixed(3)}"/>`;
    }
    return `${open}${squares}</svg>`;
  },
});
