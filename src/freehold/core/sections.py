"""The sections of a task: what is good enough, what it may cost, how the ladder is climbed.

Each section is a small frozen record with its defaults. The task file (`taskfile.py`) is made of
these, and the resolved `Task` (`task.py`) holds them, so that a setting has one name everywhere.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from freehold.core.record import Record

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
AtLeastOne: TypeAlias = Annotated[int, Field(ge=1)]

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
    """Prices for models on own machines, shown in every report."""

    dollars_per_machine_hour: Annotated[float, Field(ge=0)] = 0.20
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.6


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


class BaseModelSpec(Record):
    """The base model: `freehold/acorn`, a folder, or a Hugging Face id with its revision.

    `bits: 4` opens its weights in 4 bits (NF4), for `kind: qlora`; it needs a CUDA GPU. Left out, it is
    what an adapter was trained with, else 16: the type that the machine computes in.
    """

    id: str = "freehold/acorn"
    revision: str | None = None
    adapter: str | None = None
    bits: Literal[4, 16] | None = None


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
    criteria: tuple[str, ...] = ()
    shows_target: bool = True
    minimum_kappa: Annotated[float, Field(ge=0, lt=1)] = 0.6
    minimum_scores: Annotated[int, Field(ge=10)] = 30

    @property
    def model(self) -> BaseModelSpec:
        """What opens the judge's model."""
        names = BaseModelSpec.model_fields
        return BaseModelSpec.model_validate({name: getattr(self, name) for name in names})


class ModelsSection(Record):
    """The models that a climb uses. `judge` scores answers where `metric` is `judge`."""

    base: BaseModelSpec = BaseModelSpec()
    embedder: str = "all-MiniLM-L6-v2"
    judge: JudgeSpec | None = None


class OutputSection(Record):
    """The form of an answer: a closed list of labels, or a JSON schema; free text otherwise."""

    labels: tuple[str, ...] | None = None
    json_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")


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


class FewShotSpec(Record):
    """k examples before the question: the same ones for every question, or the nearest ones."""

    k: tuple[AtLeastOne, ...] = (4, 8)
    pick: Literal["diverse", "random"] = "diverse"


class StructuredSpec(Record):
    """Decoding constrained to the labels or the JSON schema, with and without examples."""

    k: tuple[Count, ...] = (0, 4)


class RetrieveSpec(Record):
    """The nearest training examples, and the nearest passages of the documents, in the prompt."""

    sources: tuple[Literal["examples", "documents"], ...] = Field(
        default=("examples", "documents"), alias="from"
    )
    k: tuple[AtLeastOne, ...] = (1, 4, 8)
    chunk: AtLeastOne = 800


class RetentionSpec(Record):
    """How general ability is kept in training (docs/retention.md). `replay: 0` turns replay off.

    `replay` is the share of a step's tokens that are the base's own answers to prompts that it asks
    itself; `weight` is the factor of their divergence from the base, and both are moved by a controller
    that holds `kl_budget` (nats per token). The base's answers are held on to at `temperature`: below 1,
    surer than it was, so that what it says first stays first. `past` is the share of tokens from earlier
    domains.
    `scale` chooses the size of the update on dev afterwards, so that the upper bound of the mean loss
    of general ability is at most `points` (of 100), and the loss of each family at most `family_points`.
    Left out, they are what `bar.kept` allows, and three times that.
    """

    replay: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    weight: Positive = 3.0
    kl_budget: Positive = 0.05
    prompts: AtLeastOne = 1024
    top_k: AtLeastOne = 32
    temperature: Annotated[float, Field(gt=0, le=1)] = 0.5
    past: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    scale: bool = True
    points: Positive | None = None
    family_points: Positive | None = None


Targets: TypeAlias = Literal["all_linear", "mlp", "attention"]


class TuneSpec(Record):
    """What every training of weights has in common. `effort` sets the fields that are left out.

    `checkpointing` keeps only the inputs of each layer and computes the rest again in the backward pass:
    about a third more time for a fraction of the memory. `targets` left out is the MLP, which costs less
    general ability at the same quality; of IA3 keys and values too.
    """

    effort: Literal["quick", "normal", "thorough"] = "normal"
    kind: TunedKind = "lora"
    r: AtLeastOne = 32
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

    @property
    def layers(self) -> Targets:
        """Which layers get an adapter."""
        return self.targets or ("all_linear" if self.kind == "ia3" else "mlp")


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


class LadderSection(Record):
    """Which rungs are climbed, and how."""

    stop: Literal["full", "first_pass"] = "full"
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


class KeptSection(Record):
    """How kept ability is measured: items per probe family, the same items before and after."""

    items: AtLeastOne = 40
    seed: int | None = None


class BudgetSection(Record):
    """Ceilings that stop a climb before they are passed."""

    wall_hours: Positive | None = None
    dollars: Positive | None = None
