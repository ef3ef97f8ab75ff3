"""The retrieve rung over documents: what is searched, cited, refused, and who may see what."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon
from tests.ladder.tiny_ladder import Ticks
from tests.models.test_rerank import save_cross_encoder

from freehold.core.candidate import Candidate
from freehold.core.errors import ConfigError
from freehold.core.measure import Answer, Run, RungResult
from freehold.core.message import Message
from freehold.core.outcome import Failed, Scored
from freehold.core.snapshot import Example
from freehold.core.taskfile import parse_task_file
from freehold.data.chunk import ChunkSpec
from freehold.ladder.baseline import pack_arrays
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.passages import build_index, labels_of, open_search
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.recall import tools_of
from freehold.ladder.retrieve import RUNG, RetrievingAnswerer
from freehold.ladder.tools import Models
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store

PLANETS = [
    "Zarkon",
    "Veltrix",
    "Quimby",
    "Orlano",
    "Draxis",
    "Pelune",
    "Thessia",
    "Morvath",
    "Kelbar",
    "Ysolde",
    "Brantor",
    "Cinderox",
    "Wexford",
    "Juniper",
    "Halcyon",
    "Tantrel",
    "Ostrava",
    "Ferrow",
    "Gildane",
    "Ravenna",
    "Lumiere",
    "Nocturne",
    "Astrid",
    "Bellor",
]
UNKNOWN = [
    "Xanadu",
    "Atlantis",
    "Lemuria",
    "Avalon",
    "Camelot",
    "Agartha",
    "Hyperborea",
    "Shambhala",
]
NO_ANSWER = "I do not know"


def moons(planet: str) -> int:
    return 20 + PLANETS.index(planet)


def write_documents(root: Path, *, secret: Sequence[str] = (), extra: str = "") -> None:
    lines = [
        {
            "id": planet.lower(),
            "title": "Planets",
            "text": f"{planet} is a planet. {planet} has {moons(planet)} moons in all.{extra}",
            **({"access": ["staff"]} if planet in secret else {}),
        }
        for planet in PLANETS
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "docs.jsonl").write_text(text)


def write_questions(root: Path, *, repeats: int = 3, asker: dict[str, str] | None = None) -> None:
    rows: list[dict[str, str]] = []
    ways = ("How many moons does {} have?", "Count the moons of {}.", "{} has how many moons?")
    for way in ways[:repeats]:
        for planet in PLANETS:
            row = {
                "input": way.format(planet),
                "target": str(moons(planet)),
                "page": planet.lower(),
            }
            rows.append(row | ({"who": asker.get(planet, "")} if asker is not None else {}))
        for planet in UNKNOWN:
            row = {"input": way.format(planet), "target": NO_ANSWER, "page": ""}
            rows.append(row | ({"who": ""} if asker is not None else {}))
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "questions.jsonl").write_text(text)


def read_it(messages: Sequence[Message]) -> str:
    """Answer from the passages: the number of the planet that is asked about, citing it; else make one up."""
    passages, _, question = messages[-1].content.rpartition("Question: ")
    planet = next((one for one in (*PLANETS, *UNKNOWN) if one in question), "")
    for number, passage in enumerate(passages.split("\n\n["), 1):
        if f"{planet} has " in passage:
            count = passage.split(f"{planet} has ")[1].split()[0]
            return f"{count} [{number}]" if "cite" in messages[0].content.lower() else count
    return "999"


def task(root: Path, *, retrieve: str = "", data: str = "", more: str = "") -> Prepared:
    text = (
        "task: moons\ninstruction: Answer in one word.\nmetric: exact_match\n"
        "data: {examples: questions.jsonl, documents: docs.jsonl, document_column: page"
        f"{data}}}\noutput: {{unanswerable: {NO_ANSWER}}}\nbar: {{quality: 0.5}}\n"
        "ladder: {rungs: [retrieve], retrieve: {k: [0], passages: [2], chunk: 200"
        f"{retrieve}}}}}\n{more}"
    )
    return prepare(parse_task_file(text), root=root)


def climbed(
    root: Path, prepared: Prepared, *, script: object = read_it
) -> tuple[ClimbOutcome, RungResult, Run]:
    model = ScriptedModel(script)  # pyright: ignore[reportArgumentType]
    models = Models(cache=root, open_base=lambda _spec: model)
    with Store.open(root, clock=at_noon) as store:
        outcome = climb(prepared, store=store, models=models, clock=Ticks())
        result = outcome.climb.rung("retrieve")
        assert result.state == "measured", result.reason
        return outcome, result, store.get(str(result.run_digest), Run)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moons")
    write_documents(root)
    write_questions(root)
    return root


@pytest.fixture(scope="module")
def found(place: Path) -> tuple[ClimbOutcome, RungResult, Run]:
    return climbed(place, task(place))


def test_answers_cite_their_passage_and_are_scored_without_the_mark(
    found: tuple[ClimbOutcome, RungResult, Run],
) -> None:
    outcome, result, run = found
    by_id = {example.id: example for example in outcome.snapshot.test.examples}
    answered = [r.answer for r in run.results if r.answer is not None and r.answer.citations]
    assert answered
    for answer in answered:
        (citation,) = answer.citations
        assert citation.by == "written"
        assert citation.is_supported
        assert citation.passage in answer.passages
        assert str(answer.value) in citation.quote
    right = [r for r in run.results if isinstance(r.outcome, Scored) and r.outcome.score == 1.0]
    assert len(right) >= 0.9 * len(by_id)
    assert result.documents is not None
    assert result.documents.cited is not None
    assert result.documents.citations_right is not None
    assert result.documents.citations_right.mean == 1.0


def test_questions_that_no_document_answers_are_answered_as_such_and_measured(
    found: tuple[ClimbOutcome, RungResult, Run],
) -> None:
    _, result, _ = found
    figures = result.documents
    assert figures is not None
    assert figures.said_unanswerable is not None
    assert figures.wrongly_refused is not None
    assert figures.said_unanswerable.mean is not None
    assert figures.said_unanswerable.mean >= 0.8
    assert figures.wrongly_refused.mean is not None
    assert figures.wrongly_refused.mean <= 0.1
    assert figures.recall is not None
    assert figures.recall.mean == 1.0
    assert figures.k == 2


def test_a_candidate_answers_from_its_files_alone(
    place: Path, found: tuple[ClimbOutcome, RungResult, Run]
) -> None:
    outcome, result, run = found
    with Store.open(place, clock=at_noon) as store:
        candidate = store.get(str(result.candidate_digest), Candidate)
        files = {name: store.blobs.get(one) for name, one in candidate.artefacts.items()}
    elsewhere = place / "elsewhere"
    model = ScriptedModel(read_it)
    models = Models(cache=place, open_base=lambda _spec: model)
    with Store.open(elsewhere, clock=at_noon) as store:
        tools = tools_of(outcome, store=store, models=models)
        answerer = RUNG.load(candidate.spec, files, tools)
        given: dict[int, Answer | Failed] = {}
        answerer.answer(outcome.snapshot.test.examples, given.__setitem__)
    before = {r.example_id: r.answer.value for r in run.results if r.answer is not None}
    for place_, example in enumerate(outcome.snapshot.test.examples):
        answer = given[place_]
        assert isinstance(answer, Answer)
        assert answer.value == before[example.id]


def test_a_changed_document_alone_is_embedded_again(tmp_path: Path) -> None:
    write_documents(tmp_path)
    write_questions(tmp_path)
    climbed(tmp_path, task(tmp_path))
    text = (tmp_path / "docs.jsonl").read_text()
    (tmp_path / "docs.jsonl").write_text(text.replace("Zarkon is a planet", "Zarkon is a dwarf"))
    model = ScriptedModel(read_it)
    embedded: list[str] = []

    class Counting(Models):
        def embedder(self, name: str):
            real = super().embedder(name)

            class Wrapped:
                name = real.name
                digest = real.digest
                dimension = real.dimension

                def encode(self, texts: Sequence[str]):
                    embedded.extend(texts)
                    return real.encode(texts)

            return Wrapped()

    models = Counting(cache=tmp_path, open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        outcome = climb(task(tmp_path), store=store, models=models, clock=Ticks())
    passages = [one for one in embedded if one.startswith("Planets")]
    assert passages == [one for one in passages if "dwarf" in one]
    assert len(passages) == 1
    assert outcome.climb.rung("retrieve").state == "measured"


def test_no_answer_cites_what_the_asker_may_not_see(tmp_path: Path) -> None:
    secret = PLANETS[:12]
    write_documents(tmp_path, secret=secret)
    asker = dict.fromkeys(PLANETS[:6], "staff, visitors")
    write_questions(tmp_path, asker=asker)
    prepared = task(tmp_path, data=", access_column: who", retrieve=", from: [documents]")
    outcome, result, run = climbed(tmp_path, prepared)
    by_id = {example.id: example for example in outcome.snapshot.test.examples}
    hidden = {f"{planet.lower()}#1" for planet in secret}
    seen_by_staff = 0
    for one in run.results:
        assert one.answer is not None
        shown = set(one.answer.passages) | {c.passage for c in one.answer.citations}
        if "staff" in labels_of(by_id[one.example_id].fields.get("who", "")):
            seen_by_staff += bool(shown & hidden)
        else:
            assert not shown & hidden
    assert seen_by_staff
    assert result.causes.get("unsupported", 0) > 0


def test_training_examples_of_other_askers_are_shown_to_nobody_who_lacks_their_labels(
    tmp_path: Path,
) -> None:
    write_documents(tmp_path)
    write_questions(tmp_path, asker=dict.fromkeys(PLANETS[:12], '["staff"]'))
    prepared = task(tmp_path, data=", access_column: who", retrieve=", from: [examples]")
    prompts: list[str] = []

    def script(messages: Sequence[Message]) -> str:
        prompts.append("\n".join(one.content for one in messages[:-1]))
        return "1"

    ladder = prepared.task.ladder
    wider = ladder.retrieve.model_copy(update={"k": (4,)})
    changed = prepared.task.model_copy(
        update={"ladder": ladder.model_copy(update={"retrieve": wider})}
    )
    model = ScriptedModel(script)
    models = Models(cache=tmp_path, open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        tools = tools_of(
            ClimbOutcome(
                climb=None,  # pyright: ignore[reportArgumentType]
                climb_id="c1",
                task=changed,
                snapshot=prepared.snapshot,
            ),
            store=store,
            models=models,
        )
        built = RUNG.build(RUNG.variants(tools)[0], tools, lambda _answerer: {})
        spec = {**RUNG.variants(tools)[0].spec, **built.spec}
        answerer = RUNG.load(spec, built.files, tools)
        stranger = Example(id="q", input="How many moons does Zarkon have?", target="20")
        answerer.answer([stranger], lambda _place, _answer: None)
    (shown,) = prompts
    assert not any(planet in shown for planet in PLANETS[:12])


def test_a_candidate_of_before_the_index_still_answers(tmp_path: Path, place: Path) -> None:
    prepared = task(place)
    model = ScriptedModel(read_it)
    models = Models(cache=place, open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        tools = tools_of(
            ClimbOutcome(
                climb=None,  # pyright: ignore[reportArgumentType]
                climb_id="c1",
                task=prepared.task,
                snapshot=prepared.snapshot,
            ),
            store=store,
            models=models,
        )
        texts = [f"{planet} has {moons(planet)} moons." for planet in PLANETS]
        files = {
            "shots.json": b"[]",
            "vectors.npz": pack_arrays({"vectors": tools.embed(texts)[:0]}),
            "passages.json": json.dumps(texts).encode(),
            "passages.npz": pack_arrays({"vectors": tools.embed(texts)}),
        }
        spec = {
            "k": 0,
            "documents": True,
            "passages": "sha256:old",
            "max_tokens": 20,
            "list_labels": False,
        }
        answerer = RUNG.load(spec, files, tools)
        assert isinstance(answerer, RetrievingAnswerer)
        example = Example(id="q", input="How many moons does Zarkon have?", target="20")
        asked = answerer.messages(example)
        given: list[Answer | Failed] = []
        answerer.answer([example], lambda _place, answer: given.append(answer))
    assert asked[-1].content.startswith("Context: ")
    assert "[1]" not in asked[-1].content
    (answer,) = given
    assert isinstance(answer, Answer)
    assert answer.value == "20"
    assert len(answer.passages) == 3


def test_a_cross_encoder_decides_the_order_where_one_is_named(place: Path) -> None:
    folder = save_cross_encoder(place / "cross")
    models = Models(cache=place)
    scores = models.reranker(str(folder))
    question = "How many moons does Zarkon have?"
    with Store.open(place, clock=at_noon) as store:
        prepared = task(place, retrieve=f", rerank: {folder}")
        tools = tools_of(
            ClimbOutcome(
                climb=None,  # pyright: ignore[reportArgumentType]
                climb_id="c1",
                task=prepared.task,
                snapshot=prepared.snapshot,
            ),
            store=store,
            models=models,
        )
        tools = replace(tools, documents=prepared.documents)
        (variant,) = RUNG.variants(tools)
        assert variant.spec["rerank"] == str(folder)
        content = build_index(tools, ChunkSpec(size=200)).content
        search = open_search(
            content, tools, k=24, how="words", embed=tools.embed, rerank=str(folder)
        )
        (found,) = search.find([question], [frozenset()])
    given = scores(question, [one.whole for one in found]).tolist()
    assert len(given) == len(PLANETS)
    assert given == sorted(given, reverse=True)


def test_an_overlap_of_more_than_half_a_passage_is_refused() -> None:
    text = "task: t\ninstruction: Do it.\ndata: a.jsonl\nladder:\n  retrieve: {chunk: 100, overlap: 60}\n"
    with pytest.raises(ConfigError, match="CFG-004"):
        parse_task_file(text)
