// What is drawn over the slide: attention, outlines of patches, and the scale bar. Places are level-0 pixels.

const NICE = [5, 2, 1];

export class Drawing {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = Object.assign(document.createElement("canvas"), { className: "overlay" });
    Object.assign(this.canvas.style, { position: "absolute", inset: "0", width: "100%", height: "100%", pointerEvents: "none" });
    viewer.canvas.append(this.canvas);
    this.clear();
    for (const event of ["update-viewport", "resize", "open"]) viewer.addHandler(event, () => this.draw());
  }

  clear() {
    Object.assign(this, { look: null, layers: [], shown: [], outlined: [], chosen: null });
  }

  // Attention of each magnification as a picture of one pixel per cell.
  show(look, layers) {
    Object.assign(this, { look, layers, shown: layers.map(() => true), outlined: layers.map(() => true) });
    this.draw();
  }

  draw() {
    const item = this.viewer.world.getItemAt(0);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dense = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!item || !this.look) return;
    const origin = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(0, 0));
    const across = item.imageToViewerElementCoordinates(new OpenSeadragon.Point(item.source.width, 0));
    const scale = (across.x - origin.x) / item.source.width;
    context.scale(dense, dense);
    context.translate(origin.x, origin.y);
    this.drawAttention(context, scale);
    this.drawPatches(context, scale);
  }

  drawAttention(context, scale) {
    const { columns, rows, side } = this.look.cells;
    context.imageSmoothingEnabled = false;
    context.globalAlpha = this.opacity;
    this.layers.forEach((layer, m) => {
      if (this.shown[m]) context.drawImage(layer, 0, 0, columns * side * scale, rows * side * scale);
    });
    context.globalAlpha = 1;
  }

  drawPatches(context, scale) {
    const outline = (patch, colour, line) => {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(patch.x * scale, patch.y * scale, patch.side * scale, patch.side * scale);
    };
    const both = (patch, line) => {
      if (!this.outlined[patch.magnification]) return;
      outline(patch, "white", line + 2.5);
      outline(patch, this.look.magnifications[patch.magnification].colour, line);
    };
    for (const patch of this.look.patches) both(patch, 2);
    if (this.chosen !== null) both(this.look.patches[this.chosen], 4.5); // above all others
  }

  // The smallest patch around a place: of those that hide each other, the one that is hardest to hit.
  patchAt(x, y) {
    const hit = (p) => this.outlined[p.magnification] && x >= p.x && y >= p.y && x < p.x + p.side && y < p.y + p.side;
    const found = (this.look?.patches ?? []).map((p, i) => [p, i]).filter(([p]) => hit(p));
    found.sort(([a], [b]) => a.side - b.side || b.weight - a.weight);
    return found.length ? found[0][1] : null;
  }
}

// The longest of 1, 2, 5, 10, 20... um that is no longer than `um`, and how it is written.
export function barLength(um) {
  const power = 10 ** Math.floor(Math.log10(um));
  const length = NICE.find((n) => n * power <= um * (1 + 1e-9)) * power;
  return [length, length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(3))} µm`];
}

export function drawScale(viewer, mpp) {
  const item = viewer.world.getItemAt(0);
  const scale = document.getElementById("scale");
  scale.hidden = !item || !mpp;
  if (scale.hidden) return;
  const shown = mpp / item.viewportToImageZoom(viewer.viewport.getZoom(true)); // um per pixel of the screen
  const [length, text] = barLength(140 * shown);
  document.getElementById("bar").style.width = `${length / shown}px`;
  document.getElementById("length").textContent = text;
  document.getElementById("resolution").textContent = `${Number(shown.toPrecision(2))} µm/px`;
}
