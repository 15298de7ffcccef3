"""Tables of the experiments that have no table module of their own."""

from __future__ import annotations

from statistics import median

from experiments.cohort_runs import table as cohorts
from experiments.common.result_files import RESULTS, load, load_one
from experiments.common.table import markdown


def demo() -> str:
    """Accuracy, and where the attention lies, by seed."""
    runs = load("demo-seed*.json")
    head = ["", *(f"seed {run['seed']}" for run in runs)]
    rows = [
        [f"test accuracy, {name}", *(f"{run['test_accuracy'][name]:.3f}" for run in runs)]
        for name in runs[0]["test_accuracy"]
    ]
    for kind in ("fine", "coarse"):
        places = [run["attention_on_places"][kind] for run in runs]
        rows.append([f"attention on {kind} places", *(f"{p['attention']:.2f}" for p in places)])
        rows.append(["... of it at their magnification", *(f"{p['share_on_its_magnification']:.2f}" for p in places)])
    rows.append(["bytes per record", *(f"{run['record_bytes_per_slide']:.0f}" for run in runs)])
    return markdown(head, rows)


def estimators() -> str:
    """Relative variance and relative bias with its Monte-Carlo error, by concentration of the attention."""
    regimes = load_one("estimators.json")["regimes"]
    methods = ["attention-sampling 0.2", "sequential", "replacement", "priority"]
    rows = []
    for regime in regimes:
        cells = [
            f"{m['relative_variance']:.3g} / {m['relative_bias']:.2f} ± {m['monte_carlo_error_of_bias']:.2f}"
            for m in (regime["methods"][name] for name in methods)
        ]
        rows.append([f"{regime['top_10_mass']:.2f}", *cells])
    return markdown(["top-10 mass", *methods], rows)


def gradient_variance() -> str:
    """Relative variance and cosine with the true gradient, medians over slides, by model and number of patches."""
    found = load_one("gradient-variance.json")["rows"]
    methods = list(dict.fromkeys(row["method"] for row in found))
    rows = []
    for model in ("untrained", "trained"):
        for n in (4, 16, 64):
            here = [row for row in found if (row["model"], row["n"]) == (model, n)]
            cells = []
            for method in methods:
                values = [
                    median(row[key] for row in here if row["method"] == method)
                    for key in ("relative_variance", "cosine")
                ]
                cells.append(f"{values[0]:.{2 if values[0] < 10 else 4}g} / {values[1]:.2f}")
            rows.append([model, str(n), *cells])
    return markdown(["attention", "N", *methods], rows)


CONTESTANTS = {
    "joint": "joint attention sampling",
    "start": "the same, attention held as it starts: on what is salient",
    "uniform": "the same, held uniform over the tissue",
    "overview": "overview alone",
    "colour": "colour statistics",
}


def crc_tiles() -> str:
    """AUC, attention on the places and share of the tissue that was read, by contestant; of several seeds the mean, least and most."""
    rows = []
    for name, words in CONTESTANTS.items():
        runs = load(f"{name}-seed*.json", RESULTS / "crc-tiles")
        aucs = [run["auc"] for run in runs]
        low, high = (sum(run["auc_95"][end] for run in runs) / len(runs) for end in (0, 1))
        cell = f"{sum(aucs) / len(aucs):.3f} (95 %: {low:.3f} to {high:.3f}"
        cell += f"; seeds: {min(aucs):.3f} to {max(aucs):.3f})" if len(runs) > 1 else ")"
        places, read = "", ""
        if "attention_on_places" in runs[0]:
            places = f"{sum(run['attention_on_places'] for run in runs) / len(runs):.3f}"
            read = f"{100 * runs[0]['read_per_step']['mean']:.1f} %"
        rows.append([words, str(len(runs)), cell, places, read])
    return markdown(["", "seeds", "test AUC", "attention on the places", "tissue read per step"], rows)


def snapping() -> str:
    """Test AUC of each seed, and their mean."""
    by_kind = load_one("snapping.json")["test_auc"]
    words = {"snap": "snapped to tiles", "no-snap": "where the lattice says"}
    rows = []
    for kind, runs in by_kind.items():
        aucs = [run["auc"] for run in runs]
        rows.append([words[kind], *(f"{auc:.3f}" for auc in aucs), f"{sum(aucs) / len(aucs):.3f}"])
    return markdown(["test AUC", *(f"seed {run['seed']}" for run in by_kind["snap"]), "mean"], rows)


def scanners() -> str:
    """How far the predictions of two scans of one tissue agree."""
    found = load_one("scanners.json")
    mishaps, predictions = found["validate"]["mishaps"], found["predictions"]
    named = sum(bool(mishap["named"]) for mishap in mishaps.values())
    rows = [
        ["mishaps that `validate` names, of all", f"{named} of {len(mishaps)}"],
        ["sound slides that it finds fault with", str(len(found["validate"]["others"]))],
        ["test tissues, each scanned twice", str(predictions["tissues"])],
        ["test AUC at 0.25 and at 0.5 um/px", f"{predictions['auc_at_0.25']:.3f}, {predictions['auc_at_0.5']:.3f}"],
        ["difference of the two probabilities, median", f"{predictions['median_difference']:.3f}"],
        ["... largest", f"{predictions['largest_difference']:.3f}"],
    ]
    return markdown(["", ""], rows)


def glas() -> str:
    """Accuracy and AUC of each contestant."""
    return cohorts.table("glas")


def adaptive() -> str:
    """Patches of adaptive prediction at its default block, and the fixed N it is compared with."""
    datasets = load_one("adaptive.json")["datasets"]
    found, single = ([d["adaptive_by_block"][block] for d in datasets.values()] for block in ("4", "1"))
    patches = "{mean:.1f} ({median:.0f}, {q95:.0f})"
    best = [min(d["fixed_n_of_interval"].values()) for d in datasets.values()]
    rows = [
        ["slides, runs", *(f"{d['slides']}, {d['runs']}" for d in datasets.values())],
        ["cells per slide, mean", *(f"{d['cells']['mean']:.0f}" for d in datasets.values())],
        [
            "runs whose class is not the exact one (95 % interval)",
            *("{:.2f} % ({:.2f} to {:.2f})".format(*(100 * x for x in (a["share"], *a["share_95"]))) for a in found),
        ],
        ["patches, mean (median, 95 %)", *(patches.format(**a["patches"]) for a in found)],
        ["the same in blocks of 1", *(patches.format(**a["patches"]) for a in single)],
        ["runs that read every cell", *(f"{100 * a['read_whole']:.1f} %" for a in found)],
    ]
    for name in next(iter(datasets.values()))["fixed_n_of_interval"]:
        rows.append([f"fixed N, {name}", *(str(d["fixed_n_of_interval"][name]) for d in datasets.values())])
    rows += [
        ["mean / smallest of these", *(f"{a['patches']['mean'] / n:.2f}" for a, n in zip(found, best, strict=True))],
        ["... in blocks of 1", *(f"{a['patches']['mean'] / n:.2f}" for a, n in zip(single, best, strict=True))],
        ["fixed N, the adaptive test asked once", *(str(d["fixed_n_of_the_adaptive_test"]) for d in datasets.values())],
        ["fixed N whose estimate agrees as often", *(str(a["equal_agreement_n"]) for a in found)],
    ]
    return markdown(["", *datasets], rows)
