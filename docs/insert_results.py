"""Write the results table of README.md from the JSON that `cxr evaluate --report` wrote.

python docs/insert_results.py        # rewrites README.md in place
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
EVALUATION = ROOT / "docs/results/chest_cnn/evaluation.json"
START, END = "<!-- results -->\n", "<!-- end of results -->"


def main() -> int:
    """Rewrite README.md."""
    README.write_text(with_table(README.read_text(), json.loads(EVALUATION.read_text())))
    return 0


def with_table(readme: str, evaluation: dict[str, Any]) -> str:
    """Return the README with the table of this evaluation between its marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n".join(table(evaluation)) + "\n" + END + after


def table(evaluation: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table: the model, then the baselines."""
    model = evaluation["model"]
    yield (
        f"{evaluation['films']} films of the public {evaluation['split']} split; "
        "95 % intervals bootstrapped by group.\n"
    )
    yield "| | macro AUROC | balanced accuracy |"
    yield "| --- | --- | --- |"
    yield row(f"**{model['name']} {model['version']}**", evaluation["metrics"])
    for baseline, metrics in evaluation["baselines"].items():
        yield row(f"baseline: {baseline}", metrics)
    yield "\n| class | AUROC against all others |"
    yield "| --- | --- |"
    for metric in evaluation["metrics"]:
        if metric["name"] == "auroc":
            yield f"| {metric['class_name']} | {interval(metric)} |"
    errors = {m["name"]: m for m in evaluation["metrics"] if "calibration" in m["name"]}
    yield (
        "\nExpected calibration error: "
        f"{interval(errors['expected_calibration_error_unscaled'])} before temperature scaling, "
        f"{interval(errors['expected_calibration_error_scaled'])} after; "
        f"{evaluation['calibration_error_by_chance']:.3f} is what so few films give a perfectly "
        "calibrated model. "
        f"Refused as unlike the training films: {evaluation['refused_share']:.1%} of these films."
    )


def row(name: str, metrics: list[dict[str, Any]]) -> str:
    """Return one line: macro AUROC and balanced accuracy."""
    figures = {metric["name"]: metric for metric in metrics}
    return (
        f"| {name} | {interval(figures['macro_auroc'])} "
        f"| {interval(figures['balanced_accuracy'])} |"
    )


def interval(metric: dict[str, Any]) -> str:
    """Return the estimate with its interval."""
    return f"{metric['estimate']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
