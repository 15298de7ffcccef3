// The slide, the list of slides, and the coming and going of what the model says.

import { Drawing, drawScale } from "./drawing.js";
import { make, Panel, percent, say } from "./panel.js";

const element = (id) => document.getElementById(id);
const PAUSE = 700; // milliseconds between two questions whether something is ready
const LONGEST_WAIT = 4000; // milliseconds after which the model is asked for although parts of the slide are not there yet
const STATES = {
  waiting: "Waiting for the model…",
  loading: "Loading the model…",
  looking: "The model is looking at the slide…",
};

const viewer = OpenSeadragon({
  element: element("slide"),
  drawer: "canvas",
  showNavigationControl: false,
  showNavigator: true,
  navigatorPosition: "TOP_RIGHT",
  navigatorSizeRatio: 0.16,
  maxZoomPixelRatio: 6,
  visibilityRatio: 0.3,
  animationTime: 0.5,
  maxImageCacheCount: 400,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
});
const drawing = new Drawing(viewer);
const panel = new Panel(drawing, choose);
let current = { number: null, mpp: null }; // the slide that is shown
const later = (task) => setTimeout(task, PAUSE);

async function ask(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

async function open(number, names) {
  const mine = (current = { number, mpp: null, address: `slides/${number}` });
  for (const button of element("names").querySelectorAll("button")) button.ariaCurrent = String(Number(button.value) === number);
  viewer.close();
  drawing.clear();
  panel.clear();
  say("");
  notice("");
  drawScale(viewer, null);
  element("name").textContent = names[number];
  element("about").textContent = "";
  document.title = `${names[number]} · ats_mag viewer`;
  try {
    const slide = await ask(mine.address);
    if (mine !== current) return;
    mine.mpp = slide.mpp;
    const resolution = slide.mpp ? `${Number(slide.mpp.toPrecision(4))} µm/px` : "resolution unknown";
    element("about").textContent = `${slide.width} × ${slide.height} pixels, ${resolution}`;
    element("about").title = slide.mpp_source ?? slide.mpp_problem ?? "";
    viewer.open({
      width: slide.width,
      height: slide.height,
      tileSize: slide.tile,
      tileOverlap: slide.overlap,
      minLevel: Math.min(slide.finest, 8),
      maxLevel: slide.finest,
      getTileUrl: (level, column, row) => `${mine.address}/tiles/${level}/${column}/${row}`,
    });
  } catch (error) {
    if (mine === current) say(error.message, "failed");
  }
}

viewer.addHandler("open", () => {
  const mine = current;
  const painted = () => {
    if (!mine.settling) performance.mark(`slide ${mine.number} painted`);
    settle(mine);
  };
  const item = viewer.world.getItemAt(0);
  if (item.getFullyLoaded()) painted();
  else item.addOnceHandler("fully-loaded-change", painted);
  setTimeout(() => settle(mine), LONGEST_WAIT);
});

// The model is asked for when the slide is on the screen: loading it takes the machine's time. A file without coarse levels
// is first seen as a sketch, and as it is when all of it has been read.
async function settle(mine) {
  if (mine.settling || mine !== current) return;
  mine.settling = true;
  try {
    let sketched = false;
    for (;;) {
      const { share } = await ask(`${mine.address}/reading`);
      if (mine !== current) return;
      if (share === null) break;
      sketched = true;
      notice(`A sketch: this file has no coarse levels, and is read as a whole (${percent(share)})`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    if (sketched) {
      notice("");
      viewer.world.resetItems();
    }
  } catch (error) {
    return say(error.message, "failed");
  }
  followLook(mine);
}

async function followLook(mine) {
  try {
    const look = await ask(`${mine.address}/look`);
    if (mine !== current) return;
    if (look.state === "none") return; // the slides are shown without a model
    if (look.state === "failed") return say(look.error, "failed");
    if (look.state !== "done") {
      say(STATES[look.state], "busy");
      return later(() => followLook(mine));
    }
    const layers = await Promise.all(look.magnifications.map((_, m) => picture(`${mine.address}/attention/${m}`)));
    if (mine !== current) return;
    say("");
    drawing.show(look, layers);
    panel.show(look, mine.address);
  } catch (error) {
    if (mine === current) say(error.message, "failed");
  }
}

function picture(address) {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => image);
}

// Shows a patch in the panel and, where it was chosen there, on the slide; null: none.
function choose(i, go = false) {
  drawing.chosen = i;
  drawing.draw();
  panel.mark(i);
  if (i === null || !go) return;
  const { x, y, side } = drawing.look.patches[i];
  const margin = 2 * side;
  const around = new OpenSeadragon.Rect(x - margin, y - margin, side + 2 * margin, side + 2 * margin);
  viewer.viewport.fitBounds(viewer.world.getItemAt(0).imageToViewportRectangle(around));
}

viewer.addHandler("canvas-click", (event) => {
  const item = viewer.world.getItemAt(0);
  if (!event.quick || !item || !drawing.look) return;
  const place = item.viewerElementToImageCoordinates(event.position);
  choose(drawing.patchAt(place.x, place.y));
});
viewer.addHandler("tile-load-failed", (event) => event.tiledImage && notice("Parts of this slide cannot be read."));
viewer.addHandler("update-viewport", () => drawScale(viewer, current.mpp));

const zoom = (factor) => viewer.viewport.zoomBy(factor).applyConstraints();
element("closer").addEventListener("click", () => zoom(2));
element("farther").addEventListener("click", () => zoom(1 / 2));
element("whole").addEventListener("click", () => viewer.viewport.goHome());

const names = await ask("slides");
const items = names.map((name, number) => {
  const button = make("button", { type: "button", textContent: name, value: number });
  button.addEventListener("click", () => open(number, names));
  return make("li", {}, button);
});
element("names").replaceChildren(...items);
element("slides").hidden = names.length < 2;
element("find").addEventListener("input", (event) => {
  const text = event.target.value.trim().toLowerCase();
  items.forEach((item, number) => (item.hidden = !names[number].toLowerCase().includes(text)));
});
open(0, names);
