"""The sections of a task: what is good enough, what it may cost, how the ladder is climbed.

Each section is a small frozen record with its defaults. The task file (`taskfile.py`) is made of
these, and the resolved `Task` (`task.py`) holds them, so that a setting has one name everywhere.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias, cast

from pydantic import Field, JsonValue, model_validator

from freehold.core.record import Record

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
AtLeastOne: TypeAlias = Annotated[int, Field(ge=1)]

ACORN = "freehold/acorn"
"""The bundled base model."""


def _is_none(value: object) -> bool:
    return value is None


RUNG_NAMES = (
    "baseline",
    "zero_shot",
    "few_shot",
    "structured",
    "retrieve",
    "lora",
    "lora+retrieve",
    "prefer",
    "distil",
    "full",
)
RungName: TypeAlias = Literal[
    "baseline",
    "zero_shot",
    "few_shot",
    "structured",
    "retrieve",
    "lora",
    "lora+retrieve",
    "prefer",
    "distil",
    "full",
]
TunedKind: TypeAlias = Literal["lora", "rslora", "dora", "qlora", "ia3", "prefix", "osf", "full"]
"""What is trained: an adapter of the PEFT family beside frozen weights, or (`full`) every weight."""
BaselineName: TypeAlias = Literal["majority", "tfidf", "embedding", "nearest"]
MetricName: TypeAlias = Literal[
    "exact_match",
    "label_accuracy",
    "macro_f1",
    "token_f1",
    "json_fields",
    "rouge_l",
    "chrf",
    "valid_json",
    "regex",
    "python",
    "judge",
]
PersonalKind: TypeAlias = Literal[
    "email",
    "phone",
    "card",
    "iban",
    "national_id",
    "driver_licence",
    "passport",
    "ip",
    "mac",
    "secret",
    "password",
    "crypto",
    "birth_date",
    "age",
    "name",
    "address",
    "url",
    "postcode",
    "organisation",
    "title",
    "date",
    "place",
    "nationality",
]
"""What personal data and secrets are called; docs/personal.md says what each one finds."""
Treatment: TypeAlias = Literal["mask", "surrogate", "drop"]


class Bar(Record):
    """What counts as good enough. `quality` and `kept` are tested at their lower bounds.

    `seconds_p95` and `dollars_per_1k` are ceilings on the measured value. `confidence` is the
    level of every interval.
    """

    quality: Share = 0.80
    kept: Share = 0.97
    seconds_p95: Positive | None = None
    dollars_per_1k: Positive | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Volume(Record):
    """How often the task is asked: spreads the cost of building over the horizon."""

    requests_per_month: AtLeastOne = 10_000
    horizon_months: Positive = 12.0
    revalidations_per_month: Annotated[float, Field(ge=0)] = 1.0


class Prices(Record):
    """Prices for models on own machines, and of an endpoint's tokens; shown in every report.

    The prices of tokens are those of the base's endpoint in the user file, unless the task sets them.
    """

    dollars_per_machine_hour: Annotated[float, Field(ge=0)] = 0.20
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.6
    dollars_per_million_input_tokens: Annotated[float, Field(ge=0)] | None = None
    dollars_per_million_output_tokens: Annotated[float, Field(ge=0)] | None = None


class SplitSpec(Record):
    """How examples are divided. Counts left out are derived from the number of examples.

    No split divides rows whose inputs share at least `near` of their five-character pieces. With
    `paraphrase`, a cosine of embeddings such as 0.94, neither those that say the same in other words.
    """

    test: AtLeastOne | None = None
    dev: AtLeastOne | None = None
    audit: Count | None = None
    seed: int = 7
    group_by: str | None = None
    stratify_by: str | None = None
    near: Annotated[float, Field(ge=0.5, le=1)] = 0.9
    paraphrase: Annotated[float, Field(ge=0.5, le=1)] | None = None


class Columns(Record):
    """Which columns hold the input, the target and the context, where detection is wrong."""

    input: str | tuple[str, ...] | None = None
    target: str | tuple[str, ...] | None = None
    context: str | None = None
    id: str | None = None


class Slice(Record):
    """A named part of the examples: a column by itself, or a condition."""

    name: str
    where: str


SynthMethod: TypeAlias = Literal[
    "self_instruct", "documents", "paraphrase", "counterexamples", "evolve"
]


class SynthSpec(Record):
    """How `freehold data synth` lets a teacher write rows.

    `teacher` is a model id or folder; left out, it is the task's base. `licence` are the terms of its
    outputs, where its folder does not say them. `methods` left out are all that the data allows.
    `answers` is how often the judge answers each new input, and `agree` the mean score below which a
    row is left out.
    """

    teacher: str | None = None
    licence: str | None = None
    methods: tuple[SynthMethod, ...] | None = None
    answers: AtLeastOne = 3
    agree: Share = 0.5
    seed: int = 7


class DataSection(Record):
    """Where the examples, documents and preferences are. Files are read, never written.

    `synthetic` are rows that no person wrote: they are trained on, and never dev, test or audit.
    `synthetic_share` is the largest share of the training rows that they may be.
    `sample` is how many rows to draw of more than can be held in memory; left out, all are read.
    `licence` and `consent` are the terms of the rows: one text for all files, or one for each by name.
    A row's own column of that name wins.
    `scrub` says what becomes of personal data whenever the examples are read: a list of kinds to
    mask, or a map from a kind to mask, surrogate or drop. `names_model` is an installed spaCy pipeline
    with which Presidio finds names, places and addresses; left out, the bundled rules find them.
    `traffic` is a file of inputs as they come in, to compare the test split with. `source_column` names the
    column that says who gave a row (left out: the file), and `most_rows_of_a_source` caps what one of them
    may give.
    `benchmarks` are files whose items must not stand in what is built from, beside the task's own tests.
    `access` are the labels that whoever asks holds, and `access_column` names the column of a row with the labels of
    that row's asker: documents with labels are found by those who hold one of them, and without labels by all.
    `document_column` names the column with the id of the document that holds a row's answer.
    """

    examples: str | tuple[str, ...]
    test: str | None = None
    sample: AtLeastOne | None = None
    documents: str | None = None
    preferences: str | None = None
    synthetic: str | tuple[str, ...] | None = None
    synthetic_share: Share = 0.5
    synth: SynthSpec = SynthSpec()
    benchmarks: str | tuple[str, ...] = ()
    columns: Columns = Columns()
    split: SplitSpec = SplitSpec()
    slices: tuple[str | Slice, ...] = ()
    licence: str | dict[str, str] | None = None
    consent: str | dict[str, str] | None = None
    scrub: tuple[PersonalKind, ...] | dict[PersonalKind, Treatment] = ()
    names_model: str | None = None

    @property
    def treatments(self) -> dict[PersonalKind, Treatment]:
        """What becomes of each kind that `scrub` names; a kind of a list is masked."""
        if isinstance(self.scrub, dict):
            return self.scrub
        return dict.fromkeys(self.scrub, "mask")

    traffic: str | None = None
    source_column: str | None = None
    most_rows_of_a_source: AtLeastOne | None = None
    access: tuple[str, ...] = ()
    access_column: str | None = None
    document_column: str | None = None


class BaseModelSpec(Record):
    """The base model: `freehold/acorn`, a folder, or a Hugging Face id with its revision.

    `bits: 4` opens its weights in 4 bits (NF4), for `kind: qlora`; it needs a CUDA GPU. Left out, it is
    what an adapter was trained with, else 16: the type that the machine computes in.
    `endpoint` names a server of the user file or of `models.endpoints` in place of weights here; it is
    the `id` too.
    """

    id: str = ACORN
    revision: str | None = None
    adapter: str | None = None
    bits: Literal[4, 16] | None = None
    endpoint: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_called_like_its_endpoint(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, object]", values)
        endpoint = given.get("endpoint")
        if endpoint is None or given.get("id", ACORN) not in {ACORN, endpoint}:
            return given
        return {**given, "id": endpoint}

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if self.endpoint is not None and self.id != self.endpoint:
            raise ValueError(f"the endpoint {self.endpoint} and the id {self.id} are two models")
        return self


class EndpointSpec(Record):
    """A server that speaks the chat protocol of OpenAI: where it is, and what it may be asked.

    `url` ends before `/chat/completions`, mostly in `/v1`. `model` is the server's name of the model;
    left out, it is the only one that the server lists. `context_tokens` left out is what the server
    says, else 8192. `concurrency` is how many requests are under way at once. A request is given up after
    `timeout_seconds` and asked again up to `retries` times; after `give_up_after` requests in a row that
    failed so, the work pauses. `certificates` is a PEM file of the authorities to trust; left out, they
    are those of the system.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$")]
    model: str | None = None
    context_tokens: AtLeastOne | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    timeout_seconds: Positive = 120.0
    retries: Count = 5
    give_up_after: AtLeastOne = 8
    dollars_per_million_input_tokens: Annotated[float, Field(ge=0)] | None = None
    dollars_per_million_output_tokens: Annotated[float, Field(ge=0)] | None = None
    certificates: str | None = None


class UserEndpoint(EndpointSpec):
    """An endpoint of the user file. `key: env:NAME` names the variable that holds its secret."""

    key: Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class JudgeSpec(BaseModelSpec):
    """A model that scores free text, for `metric: judge`; named as a base model is.

    `rubric` is text or `file://prompts/rubric.md`. The judge gives one of `grades`, or with `criteria` one
    for each of these names, and their mean counts; it sees the target as a reference where `shows_target`.
    `calibrate_with` is a file of people's scores, with which the judge is measured: it decides no verdict
    unless the lower bound of its kappa is `minimum_kappa`, over at least `minimum_scores` answers.
    """

    rubric: str | None = None
    calibrate_with: str | None = None
    grades: Annotated[int, Field(ge=2, le=10)] = 5
    # A record that looks at itself before it is validated reads JSON as Python does, where a list is no tuple.
    criteria: Annotated[tuple[str, ...], Field(strict=False)] = ()
    shows_target: bool = True
    minimum_kappa: Annotated[float, Field(ge=0, lt=1)] = 0.6
    minimum_scores: Annotated[int, Field(ge=10)] = 30

    @property
    def model(self) -> BaseModelSpec:
        """What opens the judge's model."""
        names = BaseModelSpec.model_fields
        return BaseModelSpec.model_validate({name: getattr(self, name) for name in names})


class ModelsSection(Record):
    """The models that a climb uses.

    `judge` scores answers where `metric` is `judge`. `endpoints` are servers by name. Those of the user file come before these, and only they have a key.
    """

    base: BaseModelSpec = BaseModelSpec()
    embedder: str = "all-MiniLM-L6-v2"
    endpoints: dict[str, EndpointSpec] = Field(default_factory=dict)
    judge: JudgeSpec | None = None


class OutputSection(Record):
    """The form of an answer: a closed list of labels, or a JSON schema; free text otherwise.

    `unanswerable` is what a free-text answer says where the documents do not hold one, such as `I do not know`.
    """

    labels: tuple[str, ...] | None = None
    json_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    unanswerable: Annotated[str, Field(min_length=1)] | None = None


class MetricSpec(Record):
    """The primary metric, and what it needs.

    `fields` weighs the fields of `json_fields`; `pattern` is for `regex`;
    `python` is `path/to/file.py:function` for the user's own metric.
    """

    primary: MetricName
    fields: dict[str, Positive] | None = None
    pattern: str | None = None
    python: str | None = None


class BaselineSpec(Record):
    """No language model at all; the best of `try` on dev is kept."""

    tried: tuple[BaselineName, ...] = Field(
        default=("majority", "tfidf", "embedding", "nearest"), alias="try"
    )


class ZeroShotSpec(Record):
    """The instruction alone."""

    max_tokens: AtLeastOne = 128


class PromptSearchSpec(Record):
    """A search for a better prompt on train and dev (docs/prompts.md). It costs model calls; off unless set.

    `calls` is the most answers and proposals that it may ask for, `seconds` the longest it may take; what is
    asked for first is worth most. `instructions` is how many wordings a model proposes beside the fixed
    rewritings, and `proposer` who: a model id or folder, the task's base where it is left out. `pool` is how
    many training examples compete for the `k` places of the prompt, `orders` in how many orders the winners
    are tried. `held` is the share of dev that the search never sees: the gain is measured there.
    """

    calls: AtLeastOne = 2000
    seconds: Positive | None = None
    proposer: str | None = None
    instructions: Count = 4
    k: AtLeastOne = 4
    pool: AtLeastOne = 24
    orders: Count = 4
    held: Annotated[float, Field(ge=0.2, le=0.8)] = 0.5
    seed: int = 7


class FewShotSpec(Record):
    """k examples before the question: the same ones for every question, or the nearest ones.

    `search` looks for a better instruction, better examples and a better order: `{}` with its defaults.
    """

    k: tuple[AtLeastOne, ...] = (4, 8)
    pick: Literal["diverse", "random"] = "diverse"
    search: PromptSearchSpec | None = Field(default=None, exclude_if=_is_none)


class StructuredSpec(Record):
    """Decoding constrained to the labels or the JSON schema, with and without examples.

    `search` looks for a better prompt, as in `few_shot`.
    """

    k: tuple[Count, ...] = (0, 4)
    search: PromptSearchSpec | None = Field(default=None, exclude_if=_is_none)


class RetrieveSpec(Record):
    """The nearest training examples, and the best passages of the documents, in the prompt.

    `k` are the numbers of examples and `passages` those of passages that are tried on dev. `how` passages are
    found: by their `words` (BM25), by their `meaning` (embeddings), or `hybrid`, by both. A passage has at most
    `chunk` characters, and repeats at most the last `overlap` of the one before it. `cite` numbers the passages of
    free-text tasks and asks for the numbers in the answer. With `rerank`, the folder of a cross-encoder, the best 30
    are read again with the question, and its scores decide.
    """

    sources: tuple[Literal["examples", "documents"], ...] = Field(
        default=("examples", "documents"), alias="from"
    )
    k: tuple[Count, ...] = (1, 4, 8)
    chunk: AtLeastOne = 800
    passages: tuple[AtLeastOne, ...] = (3, 5)
    how: Literal["hybrid", "words", "meaning"] = "hybrid"
    overlap: Count = 0
    cite: bool = True
    rerank: str | None = None

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> Self:
        if self.overlap * 2 > self.chunk:
            raise ValueError(
                f"overlap ({self.overlap}) may be at most half of chunk ({self.chunk})"
            )
        return self


class RetentionSpec(Record):
    """How general ability is kept in training (docs/retention.md). `replay: 0` turns all of it off.

    `replay` is the share of a step's tokens that are the base's own answers to prompts that it asks
    itself; `weight` is the factor of their divergence from the base, and both are moved by a controller
    that holds `kl_budget` (nats per token). The base's answers are held on to at `temperature`: below 1,
    surer than it was, so that what it says first stays first. `curvature` is the factor of the penalty on
    moving weights that general prompts depend on; 0 turns it off, and the steps in its coordinates. `past`
    is the share of tokens from earlier domains.
    `scale` chooses the size of the update on dev afterwards, so that the upper bound of the mean loss
    of general ability is at most `points` (of 100), and the loss of each family at most `family_points`.
    Left out, they are what `bar.kept` allows, and three times that.
    """

    replay: Annotated[float, Field(ge=0, le=0.5)] = 0.16
    weight: Positive = 2.0
    kl_budget: Positive = 0.02
    prompts: AtLeastOne = 1024
    top_k: AtLeastOne = 32
    temperature: Annotated[float, Field(gt=0, le=1)] = 0.5
    curvature: Annotated[float, Field(ge=0)] = 24.0
    past: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    scale: bool = True
    points: Positive | None = None
    family_points: Positive | None = None


Targets: TypeAlias = Literal["all_linear", "mlp", "attention"]


class TuneTry(Record):
    """Settings of a trained rung to compare on dev: every combination of what is listed.

    With four combinations and more the trainings are halved: all for a part of their epochs, the better half
    for twice as long.
    """

    learning_rate: tuple[Positive, ...] = ()
    r: tuple[AtLeastOne, ...] = ()
    alpha: tuple[Positive, ...] = ()
    epochs: tuple[Positive, ...] = ()
    kind: tuple[TunedKind, ...] = ()
    targets: tuple[Targets, ...] = ()
    beta: tuple[Positive, ...] = ()


class TuneSearch(Record):
    """A seeded search (TPE) over settings of a trained rung, each trial trained in full; needs the extra `search`.

    A range of two numbers is searched between them, learning rates on a logarithmic scale; of `r` the listed
    values are tried.
    """

    trials: AtLeastOne = 8
    learning_rate: tuple[Positive, Positive] | None = None
    epochs: tuple[Positive, Positive] | None = None
    beta: tuple[Positive, Positive] | None = None
    r: tuple[AtLeastOne, ...] = ()
    seed: int = 7


class TuneSpec(Record):
    """What every training of weights has in common. `effort` sets the fields that are left out.

    `checkpointing` keeps only the inputs of each layer and computes the rest again in the backward pass:
    about a third more time for a fraction of the memory. `targets` left out is the MLP, which costs less
    general ability at the same quality; of IA3 keys and values too. `try` lists settings that are compared on
    dev, `search` looks for better ones between bounds.
    """

    effort: Literal["quick", "normal", "thorough"] = "normal"
    kind: TunedKind = "lora"
    r: AtLeastOne = 16
    alpha: Positive | None = None
    targets: Targets | None = None
    learning_rate: Positive | None = None
    epochs: Positive | None = None
    batch_tokens: AtLeastOne | None = None
    max_length: AtLeastOne | None = None
    patience: AtLeastOne = 3
    seed: int = 7
    minutes: Positive | None = None
    checkpointing: bool = False
    retention: RetentionSpec = RetentionSpec()
    tried: TuneTry | None = Field(default=None, alias="try", exclude_if=_is_none)
    search: TuneSearch | None = Field(default=None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _tries_what_it_has(self) -> Self:
        for part, settings in (("try", self.tried), ("search", self.search)):
            given = {name for name, value in settings or () if value} - {"trials", "seed"}
            unknown = sorted(given - set(type(self).model_fields))
            if unknown:
                raise ValueError(f"{part} names {unknown[0]}, which this rung does not have")
        if self.tried is not None and self.search is not None:
            raise ValueError("try and search are two ways to choose the same settings; keep one")
        return self

    @property
    def layers(self) -> Targets:
        """Which layers get an adapter: all where a curvature holds on, else the MLP, which forgets less."""
        is_curved = self.retention.replay > 0 and self.retention.curvature > 0
        is_held = is_curved and self.kind in {"lora", "rslora", "qlora"}
        return self.targets or ("all_linear" if is_held or self.kind == "ia3" else "mlp")


class LoraSpec(TuneSpec):
    """An adapter trained on the examples.

    `objective` is cross-entropy, or `dft`: weighted by the model's own probability of each token.
    `rewrite` replaces a target by the base's own answer where the task's scorer calls it right.
    """

    objective: Literal["sft", "dft"] = "sft"
    rewrite: bool = False


class PreferSpec(TuneSpec):
    """Preference tuning on top of the `lora` rung, from given pairs or from its errors on train.

    `sft_weight` is the factor of the cross-entropy of the chosen answers beside the preference loss.
    `pairs` is how many mined pairs are needed at least.
    """

    method: Literal["dpo", "orpo", "kto", "simpo"] = "dpo"
    beta: Positive | None = None
    sft_weight: Annotated[float, Field(ge=0)] = 1.0
    pairs: AtLeastOne = 200


class DistilSpec(TuneSpec):
    """A smaller student imitates a teacher. `student` is a model id or folder.

    `teacher` is a model id or folder; left out, it is the best measured rung. `divergence` and
    `on_policy` (the share of student samples that the teacher scores) need a teacher with the
    student's tokenizer; `sequence` trains on the teacher's answers alone and needs none.
    """

    kind: TunedKind = "full"
    student: str | None = None
    teacher: str | None = None
    divergence: Literal["sequence", "forward_kl", "reverse_kl", "jsd"] = "sequence"
    on_policy: Share = 0.0


class FullSpec(TuneSpec):
    """Every weight is trained; first on the documents, where there are any, then on the examples."""

    kind: TunedKind = "full"
    document_epochs: Annotated[float, Field(ge=0)] = 1.0


class HalvingSpec(Record):
    """How variants inside a rung are compared on dev (docs/ladder.md).

    Four and more begin on a part of dev, of `least` examples at least, and the better half goes on with
    twice as many. `answers` and `seconds` bound what comparing the variants of one rung may take.
    """

    least: AtLeastOne = 32
    answers: AtLeastOne | None = None
    seconds: Positive | None = None


class LadderSection(Record):
    """Which rungs are climbed, and how far.

    `stop: full` measures every rung on every test example. `first_pass` races: a rung stops when its
    verdict is settled, and the climb ends at the first PASS. `budget` races every rung, and stops before
    `budget.wall_hours` or `budget.dollars` would be passed. `halving` says how the variants of a rung are compared.
    """

    stop: Literal["full", "first_pass", "budget"] = "full"
    rungs: tuple[RungName, ...] = RUNG_NAMES
    baseline: BaselineSpec = BaselineSpec()
    zero_shot: ZeroShotSpec = ZeroShotSpec()
    few_shot: FewShotSpec = FewShotSpec()
    structured: StructuredSpec = StructuredSpec()
    retrieve: RetrieveSpec = RetrieveSpec()
    lora: LoraSpec = LoraSpec()
    prefer: PreferSpec = PreferSpec()
    distil: DistilSpec = DistilSpec()
    full: FullSpec = FullSpec()
    halving: HalvingSpec = HalvingSpec()


class KeptSection(Record):
    """How kept ability is measured: items per probe family, the same items before and after.

    `suites` are further sets of items, each reported by itself: JSON Lines files beside the task file,
    and tasks of lm-eval by name (`lm_eval:arc_easy`) or by file (`lm_eval:mine.yaml`). `suite_items` is
    how many items of each are asked at most.
    """

    items: AtLeastOne = 40
    seed: int | None = None
    suites: tuple[str, ...] = ()
    suite_items: AtLeastOne = 200


class BudgetSection(Record):
    """Ceilings that stop a climb before they are passed. `tokens` are those of endpoints, in and out."""

    wall_hours: Positive | None = None
    dollars: Positive | None = None
    tokens: AtLeastOne | None = None


class DiagnoseSection(Record):
    """How it is found out why answers are wrong, beyond what the answers themselves show.

    `unstable` is how many examples of a measured rung are asked again in other words, wrong ones first:
    a wrong answer that changes is unstable rather than confused. 0 asks nothing again. No score and no
    verdict depends on it.
    """

    unstable: Count = 40
