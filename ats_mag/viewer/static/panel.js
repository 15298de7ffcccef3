// The panel beside the slide: what the model says of it. Text from files is only ever set as text.

const element = (id) => document.getElementById(id);

export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function say(text, kind = "") {
  element("state").textContent = text;
  element("state").className = kind;
  element("state").hidden = !text;
}

export const percent = (share) => `${share < 0.01 ? Number((100 * share).toPrecision(2)) : (100 * share).toFixed(1)} %`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(2)}`;

export class Panel {
  // `drawing` is what the switches act on; `choose` is called with the number of a patch.
  constructor(drawing, choose) {
    this.drawing = drawing;
    this.choose = choose;
    const opacity = element("opacity");
    const update = () => {
      drawing.opacity = opacity.value / 100;
      element("opacity-value").value = `${opacity.value} %`;
      drawing.draw();
    };
    opacity.addEventListener("input", update);
    update();
  }

  clear() {
    element("found").hidden = true;
    element("chosen").hidden = true;
  }

  show(look, address) {
    this.look = look;
    this.address = address;
    this.showClasses();
    this.showLayers();
    this.showGallery();
    element("chosen").hidden = true;
    element("found").hidden = false;
  }

  showClasses() {
    const highest = Math.max(...this.look.probabilities);
    const rows = this.look.classes.map((name, c) => {
      const p = this.look.probabilities[c];
      const bar = make("div", { className: "bar" }, make("div")); // the number beside it says the same
      bar.firstChild.style.width = `${100 * p}%`;
      const cells = [make("th", { scope: "row", textContent: name, title: name }), make("td", {}, bar), make("td", { textContent: p.toFixed(3) })];
      return make("tr", { className: p === highest ? "most" : "" }, ...cells);
    });
    element("classes").tBodies[0].replaceChildren(...rows);
  }

  showLayers() {
    const rows = this.look.magnifications.map((magnification, m) => {
      const resolution = `${magnification.mpp} µm/px`;
      const onOff = (of, list) => {
        const box = make("input", { type: "checkbox", checked: true, ariaLabel: `Show ${of} at ${resolution}` });
        box.addEventListener("change", () => {
          this.drawing[list][m] = box.checked;
          this.drawing.draw();
        });
        return make("td", {}, box);
      };
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = magnification.colour;
      const name = make("th", { scope: "row", title: `${Number(magnification.power.toPrecision(3))}x` }, swatch, `${magnification.mpp}`);
      const share = make("td", { textContent: percent(magnification.attention) });
      return make("tr", {}, name, share, onOff("attention", "shown"), onOff("patches", "outlined"));
    });
    element("layers").tBodies[0].replaceChildren(...rows);
    element("ramps").replaceChildren(...this.look.magnifications.map(({ colour }) => ramp(colour)));
    element("highest").textContent = percent(this.look.cells.highest);
  }

  showGallery() {
    const order = this.look.patches.map((_, i) => i).sort((a, b) => this.look.patches[b].weight - this.look.patches[a].weight);
    this.buttons = [];
    const items = order.map((i) => {
      const patch = this.look.patches[i];
      const { mpp, colour } = this.look.magnifications[patch.magnification];
      const weight = percent(patch.weight);
      const picture = make("img", { src: `${this.address}/patches/${i}`, alt: "", loading: "lazy" });
      const button = make("button", { type: "button", ariaPressed: "false" }, picture, weight);
      button.ariaLabel = `Patch at ${mpp} µm/px, weight ${weight}`;
      button.style.borderColor = colour;
      button.addEventListener("click", () => this.choose(i, true));
      this.buttons[i] = button;
      return make("li", {}, button);
    });
    element("gallery").replaceChildren(...items);
  }

  mark(i) {
    this.buttons.forEach((button, k) => (button.ariaPressed = String(k === i)));
    element("chosen").hidden = i === null;
    if (i === null) return;
    const patch = this.look.patches[i];
    const { mpp, colour } = this.look.magnifications[patch.magnification];
    const picture = element("picture");
    picture.src = `${this.address}/patches/${i}`;
    picture.alt = `The patch as the model read it, at ${mpp} µm/px`;
    picture.style.borderColor = colour;
    const um = (pixels) => `${Math.round(pixels * this.look.mpp)} µm`;
    const facts = [
      ["resolution", `${mpp} µm/px`],
      ["width", um(patch.side)],
      ["from left", um(patch.x)],
      ["from top", um(patch.y)],
      ["attention", percent(patch.attention)],
      ["weight", percent(patch.weight)],
    ];
    const pairs = facts.flatMap(([what, value]) => [make("dt", { textContent: what }), make("dd", { textContent: value })]);
    element("facts").replaceChildren(...pairs);
    element("adds").caption.textContent = "adds to the score of";
    const rows = this.look.scores.map((name, c) =>
      make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: signed(patch.contribution[c]) })),
    );
    element("adds").tBodies[0].replaceChildren(...rows);
  }
}

// From none to the highest attention, as it looks on white.
function ramp(colour) {
  const canvas = make("canvas", { width: 100, height: 1 });
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  for (let x = 0; x < 100; x++) {
    context.globalAlpha = x / 99;
    context.fillRect(x, 0, 1, 1);
  }
  return canvas;
}
