"""Tell whether what a candidate is measured on stands in what it is built from, and show the pairs.

Certain, and counted for the gate `contamination == 0`: the same text after normalising, a text that
shares nine tenths of its five-character pieces, or one of whose runs of eight words half stand in one
text of the other side. Suspected, ranked and never counted: a text that keeps two fifths of the weight
of its words in their order (`rewording.py`), or whose embedding is near. Rows of one narrow domain
resemble each other by nature; how many would be suspected without any copy is measured beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, cast

import numpy as np

from freehold.core.record import Record
from freehold.core.snapshot import Example, Snapshot
from freehold.data import minhash
from freehold.data.duplicates import Embed, Vectors, normalise
from freehold.data.overlap import RUN_WORDS, Overlap
from freehold.data.rewording import Reworded, Rewording, natural_share

Method: TypeAlias = Literal["repeat", "near", "run", "reworded", "embedding"]
METHODS: tuple[Method, ...] = ("repeat", "near", "run", "reworded", "embedding")
"""The surest first."""

DOCUMENTS = "documents"
SHOWN_CHARACTERS = 240
MOST_SUSPECTS = 1_000
_COMPARED_AT_ONCE = 1 << 10


class Text(NamedTuple):
    """A text with the place where it stands: a file or another name, and its row there (from 1)."""

    source: str
    row: int
    text: str


class Found(NamedTuple):
    """What a held-out text was found by: the method, the place on the other side, the overlap."""

    method: Method
    place: int
    overlap: float


class Limits(Record):
    """From where on two texts count as overlapping.

    `near`: the shared share of their five-character pieces. `run_share`: the share of the runs of
    `run_words` words of the held-out text that stand in one text of the other side. `reworded`: the share
    of the weight of its words that stand there in order. `cosine`: of their embeddings.
    """

    near: float = 0.9
    run_words: int = RUN_WORDS
    run_share: float = 0.5
    reworded: float = 0.4
    cosine: float = 0.94


class Place(Record):
    """Where a text stands, and how it begins."""

    source: str
    row: int
    text: str


class Match(Record):
    """A held-out text and the text that overlaps with it most, by one method.

    `overlap` is what the method measures, in [0, 1], as in `Limits`.
    """

    method: Method
    held_out: Place
    seen: Place
    overlap: float


class Comparison(Record):
    """One kind of held-out texts against one kind of texts that a candidate may be built from.

    `count` are the held-out texts that the other side certainly holds, `suspects` those that it may hold
    in other words. `natural_share` is the share of suspects that would be found without any copy, None
    where it is not known. `pairs` has every certain match and the 1,000 clearest suspects, the certain
    ones first, each by falling overlap.
    """

    held_out: str
    seen: str
    held_out_texts: int
    seen_texts: int
    count: int
    suspects: int
    natural_share: float | None = None
    pairs: tuple[Match, ...] = ()

    @property
    def share(self) -> float:
        """The share of held-out texts that the other side certainly holds; 0 where there are none."""
        return self.count / self.held_out_texts if self.held_out_texts else 0.0

    @property
    def suspect_share(self) -> float:
        """The share of held-out texts that are suspects."""
        return self.suspects / self.held_out_texts if self.held_out_texts else 0.0

    @property
    def has_excess(self) -> bool:
        """Tell whether there are clearly more suspects than by nature: by three standard errors."""
        if self.natural_share is None or not self.held_out_texts:
            return self.suspects > 0
        spread = self.natural_share * (1 - self.natural_share) * (1 / self.held_out_texts + 1 / 400)
        return self.suspect_share > self.natural_share + 3 * spread**0.5


class Contamination(Record):
    """All comparisons, and the limits that they used."""

    limits: Limits
    comparisons: tuple[Comparison, ...] = ()
    has_embeddings: bool = False

    @property
    def count(self) -> int:
        """How many different held-out texts are certainly seen: the number of the gate."""
        return len(
            {
                (match.held_out.source, match.held_out.row, match.held_out.text)
                for comparison in self.comparisons
                for match in comparison.pairs
                if is_certain(match.method)
            }
        )

    @property
    def pairs(self) -> tuple[Match, ...]:
        """The matches of all comparisons."""
        return tuple(match for comparison in self.comparisons for match in comparison.pairs)


def is_certain(method: Method) -> bool:
    """Tell whether a match of this method counts for the gate."""
    return method in ("repeat", "near", "run")


def contaminated(
    snapshot: Snapshot,
    *,
    documents: Sequence[Text] = (),
    replayed: Sequence[Text] = (),
    benchmarks: Mapping[str, Sequence[Text]] | None = None,
    embed: Embed | None = None,
    limits: Limits | None = None,
    suspects: bool = True,
) -> Contamination:
    """Compare everything that candidates are measured on with everything that they are built from.

    Built from: the training rows (with the few-shot pool and the index of nearest examples, which are
    training rows), the documents, and the prompts that are replayed. Measured on: the rows of dev, test
    and audit, and each of `benchmarks` (a name, and its texts: a file of the user's, or the probes of
    general ability). Without `suspects` only what is certain is looked for, which takes a fraction of
    the time.
    """
    limits = limits or Limits()
    train = texts_of(snapshot.train.examples)
    splits = (snapshot.dev, snapshot.test, snapshot.audit)
    rows = texts_of(example for split in splits for example in split.examples)
    built_from = {"train": train, DOCUMENTS: documents, "replayed prompts": replayed}
    measured_on = {"dev, test and audit": rows, **(benchmarks or {})}
    comparisons = tuple(
        compare(
            held_out,
            seen,
            names=(held_out_name, seen_name),
            limits=limits,
            embed=embed if seen_name == "train" else None,
            natural_seed=snapshot.seed if held_out is rows and seen is train else None,
            suspects=suspects,
        )
        for held_out_name, held_out in measured_on.items()
        for seen_name, seen in built_from.items()
        if held_out and seen
    )
    return Contamination(limits=limits, comparisons=comparisons, has_embeddings=embed is not None)


def texts_of(examples: Iterable[Example]) -> tuple[Text, ...]:
    """Return the inputs of examples with their places."""
    return tuple(Text(example.source, example.row, example.input) for example in examples)


def compare(
    held_out: Sequence[Text],
    seen: Sequence[Text],
    *,
    names: tuple[str, str],
    limits: Limits,
    embed: Embed | None = None,
    natural_seed: int | None = None,
    suspects: bool = True,
) -> Comparison:
    """Look for every held-out text on the other side; of each the clearest match is kept.

    Args:
        held_out: what is measured on.
        seen: what is built from. Documents are looked at for runs of words only, because a long text
            holds the words of any question.
        names: what the two sides are called.
        limits: from where on texts overlap.
        embed: turns texts into vectors; without it embeddings are not compared.
        natural_seed: given where both sides are rows of one kind, so that the share of suspects among
            rows that are no copies can be measured on a sample of `seen`.
        suspects: whether texts in other words are looked for.
    """
    asked = _Side(held_out)
    known = _Side(seen)
    are_documents = names[1] == DOCUMENTS
    certain = certain_matches(asked.keys, known.keys, limits=limits, quoted=are_documents)
    suspected: dict[int, Found] = {}
    natural: float | None = None
    if suspects and not are_documents:
        left = [place for place in range(len(held_out)) if place not in certain]
        suspected = _suspected(asked, known, left, limits=limits, embed=embed)
        if natural_seed is not None:
            natural = natural_share(known.words, least=limits.reworded, seed=natural_seed)
    ranked = sorted(suspected.items(), key=lambda item: (-item[1].overlap, item[0]))
    by_overlap = sorted(certain.items(), key=lambda item: (-item[1].overlap, item[0]))
    return Comparison(
        held_out=names[0],
        seen=names[1],
        held_out_texts=len(held_out),
        seen_texts=len(seen),
        count=len(certain),
        suspects=len(suspected),
        natural_share=natural,
        pairs=tuple(
            Match(
                method=found.method,
                held_out=_place(held_out[place]),
                seen=_place(seen[found.place]),
                overlap=round(found.overlap, 4),
            )
            for place, found in (*by_overlap, *ranked[:MOST_SUSPECTS])
        ),
    )


class _Side:
    """The texts of one side, normalised."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self.raw = [text.text for text in texts]
        self.keys = [normalise(text) for text in self.raw]
        self.words = [key.split() for key in self.keys]


def certain_matches(
    asked: Sequence[str], known: Sequence[str], *, limits: Limits, quoted: bool = False
) -> dict[int, Found]:
    """Return for each place in `asked` what certainly holds it in `known`; both are normalised.

    With `quoted` a text of 5 to 7 words is also found inside of a longer one.
    """
    first: dict[str, int] = {}
    for place, key in enumerate(known):
        first.setdefault(key, place)
    found = {
        place: Found("repeat", first[key], 1.0)
        for place, key in enumerate(asked)
        if key and key in first
    }
    for more in (_near(asked, known, limits), _runs(asked, known, limits, quoted=quoted)):
        for place, other in more.items():
            found.setdefault(place, other)
    return found


def clearest(found: Iterable[Found]) -> Found:
    """Return the match of the surest method, with the largest overlap, at the first place."""
    return min(found, key=lambda one: (METHODS.index(one.method), -one.overlap, one.place))


def _near(asked: Sequence[str], known: Sequence[str], limits: Limits) -> dict[int, Found]:
    """Return the nearest text of the other side for each text that has one."""
    plan = minhash.banding(limits.near)
    texts = (*known, *asked)
    sketches = minhash.sketches(texts, plan=plan)
    pairs = minhash.candidates_across(sketches, len(known))
    pairs = minhash.likely(pairs, sketches.marks, plan=plan)
    shares = minhash.similarities(texts, pairs)
    best: dict[int, Found] = {}
    for known_place, place, share in zip(
        cast("list[int]", pairs.first.tolist()),
        cast("list[int]", pairs.second.tolist()),
        cast("list[float]", shares.tolist()),
        strict=True,
    ):
        own = place - len(known)
        if share >= limits.near and (own not in best or share > best[own].overlap):
            best[own] = Found("near", known_place, share)
    return best


def _runs(
    asked: Sequence[str], known: Sequence[str], limits: Limits, *, quoted: bool
) -> dict[int, Found]:
    index = Overlap(asked)
    best: dict[int, Found] = {}
    for known_place, key in enumerate(known):
        for place, share in index.shares(key, quoted=quoted).items():
            if share >= limits.run_share and (place not in best or share > best[place].overlap):
                best[place] = Found("run", known_place, share)
    return best


def _suspected(
    asked: _Side, known: _Side, left: Sequence[int], *, limits: Limits, embed: Embed | None
) -> dict[int, Found]:
    index = Rewording(known.words)
    found: dict[int, Found] = {}
    for place in left:
        best: Reworded | None = index.best(asked.words[place], least=limits.reworded)
        if best is not None:
            found[place] = Found("reworded", best.place, best.share)
    if embed is not None and left:
        vectors = embed([asked.raw[place] for place in left])
        nearest = _nearest(vectors, embed(known.raw))
        for place, (known_place, cosine) in zip(left, nearest, strict=True):
            if cosine >= limits.cosine and place not in found:
                found[place] = Found("embedding", known_place, min(cosine, 1.0))
    return found


def _nearest(vectors: Vectors, known: Vectors) -> list[tuple[int, float]]:
    """Return for each vector the place of the nearest one of the other side, and their cosine."""
    found: list[tuple[int, float]] = []
    for start in range(0, len(vectors), _COMPARED_AT_ONCE):
        cosines = vectors[start : start + _COMPARED_AT_ONCE] @ known.T
        best = np.argmax(cosines, axis=1)
        places = cast("list[int]", best.tolist())
        values = cast("list[float]", cosines[np.arange(len(best)), best].tolist())
        found.extend(zip(places, values, strict=True))
    return found


def _place(text: Text) -> Place:
    shown = text.text[:SHOWN_CHARACTERS]
    return Place(source=text.source, row=text.row, text=shown)
