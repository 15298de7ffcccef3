"""The page to look through the quality sheets: problems first, and a search by id."""

from __future__ import annotations

import html
import os
from pathlib import Path
from string import Template
from urllib.parse import quote

from ats_mag.geometry.units import format_mpp
from ats_mag.preparation.job import SHEETS, Job
from ats_mag.preparation.state import State
from ats_mag.slides.quality import LEAST_SHARE
from ats_mag.system.atomic_files import write_whole

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Quality sheets</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 0 1rem 2rem; color: #222; }
header { position: sticky; top: 0; background: #fff; padding: .8rem 0; border-bottom: 1px solid #ccc; }
h1 { font-size: 1.1rem; display: inline; margin-right: 1rem; }
input { font: inherit; padding: .2rem .5rem; width: 18rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; margin-top: 1rem; }
article { border: 1px solid #ccc; border-radius: 6px; padding: .7rem; overflow-wrap: anywhere; }
article.failed { border: 2px solid #c62828; }
article.look { border: 2px solid #ef8e00; }
article[hidden] { display: none; }
h2 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .2rem 0; }
.failed p.problem { color: #c62828; }
.look p.problem { color: #a65f00; }
img { width: 100%; height: 18rem; object-fit: contain; }
</style>
<header>
<h1>$slides slides, $problems with problems</h1>
<input type="search" id="search" placeholder="slide id" aria-label="search by slide id">
<p>Green: outline of the tissue. Blue: cells that the model may look at. Paler: not looked at.</p>
</header>
<main>
$cards
</main>
<script>
const cards = [...document.querySelectorAll("article")];
document.getElementById("search").addEventListener("input", event => {
  const text = event.target.value.trim().toLowerCase();
  for (const card of cards) card.hidden = !card.dataset.id.toLowerCase().includes(text);
});
</script>
</html>
""")

_CARD = Template("""<article class="$kind" data-id="$id">
<h2>$id</h2>
$problems$facts$sheet</article>""")


def write_index(out: Path, slides: list[tuple[Job, State]]) -> Path:
    """Writes `sheets/index.html`; what cannot be used comes first, then what deserves a look, then the rest.

    Args:
        out: folder of the records.
        slides: all of the manifest, in its order.
    """
    kinds = ("failed", "look", "good")
    found = [(_kind(job, state), job, state) for job, state in slides]
    found.sort(key=lambda card: kinds.index(card[0]))
    page = _PAGE.substitute(
        slides=len(found),
        problems=sum(kind != "good" for kind, _, _ in found),
        cards="\n".join(_card(*card) for card in found),
    )
    file = out / SHEETS / "index.html"
    write_whole(file, page.encode())
    return file


def remarks(state: State, least_tissue: float = LEAST_SHARE) -> list[str]:
    """What is unusual about a slide that could be prepared.

    Args:
        state: of the slide.
        least_tissue: share of the overview on tissue, below which there is little.
    """
    facts = state.facts
    if facts is None:
        return []
    found = []
    if facts.whole:
        found.append("no tissue was found; all of the slide is looked at")
    elif facts.quality is None and facts.tissue < least_tissue:
        found.append(f"tissue covers {facts.tissue:.2%} of the slide only")
    if facts.quality is not None:
        found += facts.quality.flags(least_tissue).values()
    if facts.cells == 0:
        found.append("no cell of the lattice holds enough tissue to be looked at")
    if facts.mpp_source == "default":
        found.append(f"the resolution is stated nowhere; the default, {format_mpp(facts.mpp)}, was taken")
    return found


def _kind(job: Job, state: State) -> str:
    return "failed" if state.status != "done" else "look" if remarks(state, job.least_tissue) else "good"


def _card(kind: str, job: Job, state: State) -> str:
    facts = state.facts
    problems = [state.error or "not prepared yet"] if kind == "failed" else remarks(state, job.least_tissue)
    lines = [f"label {job.label}, patient {job.patient_id}", job.path]
    if kind != "failed" and facts is not None:
        lines.append(f"{facts.width} x {facts.height} px at {format_mpp(facts.mpp)}, from {facts.mpp_source}")
        cells = "" if facts.cells is None else f", {facts.cells} cells"
        lines.append(f"tissue {facts.tissue:.1%}{cells}{', drawn by hand' if job.own_mask else ''}")
    sheet = ""
    if f"{SHEETS}/{job.sheet.name}" in state.outputs:
        name = html.escape(quote(os.fsencode(job.sheet.name)))
        alt = html.escape(f"overview of {job.slide_id}")
        sheet = f'<a href="{name}"><img src="{name}" alt="{alt}" loading="lazy"></a>\n'
    return _CARD.substitute(
        kind=kind,
        id=html.escape(job.slide_id),
        problems="".join(f'<p class="problem">{html.escape(text)}</p>\n' for text in problems),
        facts="".join(f"<p>{html.escape(text)}</p>\n" for text in lines),
        sheet=sheet,
    )
