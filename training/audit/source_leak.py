"""Measure how well the source of a film can be told from a network's last features.

A network that tells hospitals or scanners apart can use them as a shortcut. Nine numbers of a
film's file are measured beside it.

Source:
    Zech et al. 2018, PLOS Medicine 15(11), e1002683: networks told hospitals apart by their films
    with 99.95 % accuracy, and predicted pneumonia with it.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from training.audit.rows import AuditRow, row_at_most, row_without_answer
from training.data.lung_regions import SeenFilms
from training.data.manifest import Film, labels
from training.evaluation.baselines import file_statistics
from training.statistics.bootstrap import Estimate, Resamples
from training.statistics.metrics import macro_auroc, mean_auroc, one_hot

FOLDS = 5
"""Folds of the cross-validation; a source needs at least as many groups."""

LARGEST_AUROC = 0.8
"""Above it discrimination is called excellent (Hosmer, Lemeshow and Sturdivant 2013, page 177)."""

Features = Float[np.ndarray, "films features"]
Statistics = Float[np.ndarray, "films statistics"]


def last_features(model: Path, pixels: Float[np.ndarray, "films 1 rows columns"]) -> Features:
    """Return the features that the network's last linear layer reads, out of an exported file.

    They are no output of the file, so the tensor is made an output in memory.

    Raises:
        ValueError: The graph's `logits` are not made from a product of features and a matrix.
    """
    graph = onnx.load(model)
    name = _features_name(graph.graph)
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    )
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    batches = np.array_split(pixels, -(-len(pixels) // 32))
    progress = tqdm(batches, "features", unit="batch", leave=False)
    return np.concatenate([session.run([name], {"pixels": batch})[0] for batch in progress])


def _features_name(graph: onnx.GraphProto) -> str:
    """Return the tensor that the head multiplies: the nearest product upstream of the logits."""
    made_by = {output: node for node in graph.node for output in node.output}
    waiting = deque(["logits"])
    while waiting:
        node = made_by.get(waiting.popleft())
        if node is None:
            continue
        if node.op_type in ("MatMul", "Gemm"):
            return str(node.input[0])
        waiting.extend(node.input)
    raise ValueError(
        "the graph's logits must come from a product of features and weights; none found"
    )


def told_apart(
    features: Features, names: Sequence[str], groups: Sequence[str]
) -> tuple[Float[np.ndarray, "films names"], Int[np.ndarray, " films"]]:
    """Return a logistic regression's probability of each name, and the true names' numbers.

    Each film is scored by a fit without the films of its group. Names are in alphabetical order.
    """
    numbers = np.unique(np.asarray(names), return_inverse=True)[1]
    probabilities = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        features,
        numbers,
        groups=np.asarray(groups),
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0),
        method="predict_proba",
    )
    return probabilities, numbers


def source_auroc(features: Features, sources: Sequence[str], groups: Sequence[str]) -> Estimate:
    """Return the macro one-vs-rest AUROC of the source from features."""
    probabilities, numbers = told_apart(features, sources, groups)
    is_source = one_hot(numbers, probabilities.shape[1])
    return Resamples(groups).estimate(partial(mean_auroc, probabilities, is_source))


def source_rows(features: Features, seen: SeenFilms) -> Iterator[AuditRow]:
    """Yield the row over all films, then one for each class with two sources or more.

    Where a class has one source, to tell classes is to tell sources: then the figure over all films
    is no evidence of a shortcut, only the figures within a class are.

    The limit is 0.8, because a network whose features separate the sources of one class well has
    learnt to look at something other than disease; the argument of Zech et al. 2018.
    """
    films = seen.films
    statistics = np.stack(
        [file_statistics(film) for film in tqdm(films, "file statistics", leave=False)]
    )
    over_all = _overall_row(features, statistics, films)
    yield over_all
    if over_all.figure is None:
        return
    for label in sorted(set(labels(films))):
        rows = np.array([film.label == label for film in films])
        yield _row(
            f"which source, among films of {label}",
            features[rows],
            statistics[rows],
            [film for film in films if film.label == label],
        )


def _overall_row(features: Features, statistics: Statistics, films: Sequence[Film]) -> AuditRow:
    row = _row("which source, over all films", features, statistics, films)
    if row.figure is None:
        return row
    by_class = auroc_of_the_class_alone(films)
    note = f"{row.note}; from the true class alone {by_class:.3f}"
    if by_class > LARGEST_AUROC:
        return row.model_copy(
            update={"verdict": "cannot tell", "note": f"{note}: class and source are confounded"}
        )
    return row.model_copy(update={"note": note})


def _row(
    question: str, features: Features, statistics: Statistics, films: Sequence[Film]
) -> AuditRow:
    kept = _of_common_sources(films)
    sources = [films[number].source for number in kept]
    if len(set(sources)) < 2:
        because = f"fewer than two sources have {FOLDS} groups of films"
        return row_without_answer(question, because=because)
    groups = [films[number].group_id for number in kept]
    return row_at_most(
        LARGEST_AUROC,
        question,
        source_auroc(features[kept], sources, groups),
        why="AUROC of the source from the network's features",
        note=f"{len(set(sources))} sources, {len(kept)} films; from nine file statistics "
        f"{macro_auroc(*told_apart(statistics[kept], sources, groups)):.3f}",
    )


def _of_common_sources(films: Sequence[Film]) -> Int[np.ndarray, " kept"]:
    """Return the positions of films whose source has a group for every fold."""
    pairs = {(film.source, film.group_id) for film in films}
    groups = Counter(source for source, _ in pairs)
    kept = [number for number, film in enumerate(films) if groups[film.source] >= FOLDS]
    return np.array(kept, int)


def auroc_of_the_class_alone(films: Sequence[Film]) -> float:
    """Return the macro AUROC of the source from the share of each source among films of a class."""
    films = [films[number] for number in _of_common_sources(films)]
    names, numbers = np.unique([film.source for film in films], return_inverse=True)
    labels = np.array([film.label for film in films])
    shares = {
        label: np.bincount(numbers[labels == label], minlength=len(names)) / (labels == label).sum()
        for label in set(labels.tolist())
    }
    return macro_auroc(np.stack([shares[label] for label in labels.tolist()]), numbers)
