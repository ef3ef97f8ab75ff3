"""Tasks of lm-eval as suites of kept ability: any door stands in as the model that lm-eval asks.

`pip install freehold[lm-eval]` brings lm-eval. Its tasks name data sets, which are read from the cache of
`datasets` where Freehold is offline; a task in a YAML file may name local files. lm-eval's own reports come
from `freehold report --format lm-eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, cast

from freehold.core.errors import DataError
from freehold.core.message import user
from freehold.core.outcome import Cause, Failed, Outcome, Scored
from freehold.core.record import digest_json
from freehold.evaluate.probes import ProbeResult
from freehold.models.door import Generation, Model, PlainText, TextScore

PREFIX = "lm_eval:"
"""What names a task of lm-eval, or a YAML file with one, in `kept.suites`."""

METRICS = ("acc_norm", "acc", "exact_match")
"""The metric of an item is the first of these that a task has, else its first one in [0, 1]."""

MAX_TOKENS = 256
"""Of an answer, where a task does not say it; lm-eval's own number."""

_YAML = (".yaml", ".yml")


class _Request(Protocol):
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def doc_id(self) -> int | None: ...
    @property
    def task_name(self) -> str | None: ...


@dataclass
class DoorForLmEval:
    """Answers the requests of lm-eval from a door, and remembers which items the door could not answer.

    Plain texts are given as they are where the door takes them (`PlainText`); else a context is a user's
    turn and what follows is the answer. Answers are greedy: a request that asks for sampling fails. A text
    that does not fit the context fails, where lm-eval's own models cut its beginning off.
    """

    model: Model
    failures: dict[tuple[str, int], Failed] = field(default_factory=dict[tuple[str, int], Failed])

    def loglikelihood(self, requests: Sequence[_Request]) -> list[tuple[float, bool]]:
        """Return the log-probability of each continuation, and whether greedy decoding writes it."""
        contexts = [str(request.args[0]) for request in requests]
        rests = [str(request.args[1]) for request in requests]
        if isinstance(self.model, PlainText):
            found: Sequence[TextScore | Failed] = self.model.score_texts(contexts, rests)
        else:
            found = _as_answers(self.model, contexts, rests)
        return [self._number(request, one) for request, one in zip(requests, found, strict=True)]

    def loglikelihood_rolling(self, requests: Sequence[_Request]) -> list[float]:
        """Return the log-probability of each whole text."""
        texts = [str(request.args[0]) for request in requests]
        if not isinstance(self.model, PlainText):
            failed = Failed(
                cause=Cause.ENGINE, message="this model shows no probabilities of plain texts"
            )
            return [self._number(request, failed)[0] for request in requests]
        found = self.model.score_texts([""] * len(texts), texts)
        return [self._number(request, one)[0] for request, one in zip(requests, found, strict=True)]

    def generate_until(self, requests: Sequence[_Request]) -> list[str]:
        """Return the answer to each context, up to the first of its stop texts."""
        answers: dict[int, str] = {}
        groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for place, request in enumerate(requests):
            settings = cast("Mapping[str, Any]", request.args[1])
            if settings.get("do_sample") or float(settings.get("temperature") or 0.0) > 0.0:
                message = "the task asks for sampled answers, and this door answers greedily"
                answers[place] = self._text(request, Failed(cause=Cause.ENGINE, message=message))
                continue
            until = settings.get("until") or ()
            ends = (until,) if isinstance(until, str) else tuple(str(end) for end in until)
            most = int(settings.get("max_gen_toks") or MAX_TOKENS)
            groups.setdefault((most, tuple(end for end in ends if end)), []).append(place)
        for (most, until), places in groups.items():
            texts = [str(requests[place].args[0]) for place in places]
            for place, made in zip(places, self._write(texts, most, until), strict=True):
                answers[place] = self._text(requests[place], made)
        return [answers[place] for place in range(len(requests))]

    def _write(
        self, texts: Sequence[str], most: int, until: Sequence[str]
    ) -> Sequence[Generation | Failed]:
        if isinstance(self.model, PlainText):
            return self.model.continue_texts(texts, max_tokens=most, until=until)
        return self.model.generate([(user(text),) for text in texts], max_tokens=most)

    def _number(self, request: _Request, found: TextScore | Failed) -> tuple[float, bool]:
        if isinstance(found, Failed):
            self._note(request, found)
            return float("-inf"), False
        return found.logprob, found.is_greedy

    def _text(self, request: _Request, made: Generation | Failed) -> str:
        if isinstance(made, Failed):
            self._note(request, made)
            return ""
        ends = cast("Mapping[str, Any]", request.args[1]).get("until") or ()
        places = [
            made.text.find(end) for end in ((ends,) if isinstance(ends, str) else ends) if end
        ]
        found = [place for place in places if place >= 0]
        return made.text[: min(found)] if found else made.text

    def _note(self, request: _Request, failed: Failed) -> None:
        self.failures[request.task_name or "", request.doc_id or 0] = failed


@dataclass(frozen=True)
class LmEvalSuite:
    """A task, a tag or a group of lm-eval, or a YAML file with a task; `items` of each task are asked."""

    name: str
    task: str
    items: int
    root: Path

    @property
    def digest(self) -> str:
        """Over the task's name or file, how many items there are, and the version of lm-eval."""
        path = self.root / self.task
        text = path.read_text(encoding="utf-8") if self._is_file else None
        return digest_json("LmEvalSuite", [self.task, text, self.items, _version()])

    @property
    def _is_file(self) -> bool:
        return self.task.endswith(_YAML)

    def texts(self) -> tuple[str, ...]:
        """Return what the items ask, for comparing with what is trained on."""
        recorder = _Recorder()
        self._samples(recorder)
        return tuple(dict.fromkeys(recorder.texts))

    def measure(self, model: Model) -> tuple[ProbeResult, ...]:
        """Return the score of `model` on each item.

        Raises:
            DataError: lm-eval is missing (KPT-004), has no such task (KPT-005), cannot read its data
                (KPT-006), or has no metric of single items in [0, 1] (KPT-007).
        """
        door = DoorForLmEval(model)
        results: list[ProbeResult] = []
        for task, samples in self._samples(door).items():
            seen: set[int] = set()
            for sample in samples:
                number = int(sample["doc_id"])
                # A task may read one answer in several ways: the first is its own.
                if number not in seen:
                    seen.add(number)
                    outcome = door.failures.get((task, number)) or self._score(task, sample)
                    results.append(
                        ProbeResult(probe_id=f"{task}/{number}", family=self.name, outcome=outcome)
                    )
        return tuple(results)

    def _score(self, task: str, sample: Mapping[str, Any]) -> Outcome:
        names = [str(name) for name in sample["metrics"]]
        for name in (*(name for name in METRICS if name in names), *names):
            value = sample.get(name)
            if isinstance(value, int | float) and 0.0 <= float(value) <= 1.0:
                return Scored(score=float(value))
        raise DataError(
            "KPT-007",
            f"{task} has no metric of a single item in [0, 1]: {', '.join(names) or 'none'}",
            help=f"take {PREFIX}{self.task} out of kept.suites",
        )

    def _samples(self, door: DoorForLmEval | _Recorder) -> Mapping[str, Sequence[Any]]:
        try:
            evaluator = import_module("lm_eval.evaluator")
            base = import_module("lm_eval.api.model").LM
            tasks = import_module("lm_eval.tasks")
        except ImportError as error:
            raise DataError(
                "KPT-004",
                f"{PREFIX}{self.task} needs lm-eval, which is not installed",
                help="pip install 'freehold[lm-eval]'",
            ) from error
        manager = tasks.TaskManager(
            include_path=str(self.root) if self._is_file else None,
            include_defaults=not self._is_file,
        )
        found = evaluator.simple_evaluate(
            model=_stand_in(base, door),
            tasks=self._load(manager),
            limit=self.items,
            bootstrap_iters=0,
            log_samples=True,
            random_seed=None,
            numpy_random_seed=None,
            torch_random_seed=None,
        )
        return cast("Mapping[str, Sequence[Any]]", found["samples"])

    def _load(self, manager: Any) -> list[Any]:
        if self._is_file and not (self.root / self.task).is_file():
            raise self._unknown("there is no such file")
        if not self._is_file and self.task not in manager.all_tasks:
            raise self._unknown("lm-eval knows no such task")
        named = str(self.root / self.task) if self._is_file else self.task
        try:
            return list(manager.load([named])["tasks"].values())
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
            lines = str(error).strip().splitlines()
            raise DataError(
                "KPT-006",
                f"{PREFIX}{self.task} cannot read its data on this machine",
                help="run the same command with --online once; the data is kept and read offline"
                " afterwards. Or name a JSON Lines file of your own",
                cause=(f"{type(error).__name__}: {lines[0] if lines else ''}",),
            ) from error

    def _unknown(self, why: str) -> DataError:
        return DataError(
            "KPT-005",
            f"{PREFIX}{self.task} in kept.suites: {why}",
            help="lm-eval ls tasks",
        )


@dataclass
class _Recorder:
    """Stands in for a model to see what is asked."""

    texts: list[str] = field(default_factory=list[str])

    def loglikelihood(self, requests: Sequence[_Request]) -> list[tuple[float, bool]]:
        self._note(requests)
        return [(0.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests: Sequence[_Request]) -> list[float]:
        self._note(requests)
        return [0.0] * len(requests)

    def generate_until(self, requests: Sequence[_Request]) -> list[str]:
        self._note(requests)
        return [""] * len(requests)

    def _note(self, requests: Sequence[_Request]) -> None:
        self.texts.extend(str(request.args[0]) for request in requests)


def _stand_in(base: type, door: DoorForLmEval | _Recorder) -> Any:
    """Return an instance of lm-eval's own class for models whose requests go to `door`."""

    def ask(method: Callable[[Sequence[_Request]], list[Any]]) -> Callable[..., list[Any]]:
        def answer(_self: object, requests: Sequence[_Request], **_settings: object) -> list[Any]:
            return method(requests)

        return answer

    made = type(
        "FreeholdDoor",
        (base,),
        {
            "loglikelihood": ask(door.loglikelihood),
            "loglikelihood_rolling": ask(door.loglikelihood_rolling),
            "generate_until": ask(door.generate_until),
        },
    )
    return made()


def _as_answers(
    model: Model, contexts: Sequence[str], rests: Sequence[str]
) -> list[TextScore | Failed]:
    read = model.answer_logprobs(
        [(user(context),) for context in contexts], [rest.strip() for rest in rests]
    )
    # The last token ends the turn, which lm-eval does not ask of.
    return [
        one
        if isinstance(one, Failed)
        else TextScore(
            logprob=sum(one.logprobs[:-1]), tokens=len(one.tokens) - 1, is_greedy=one.is_greedy
        )
        for one in read
    ]


def _version() -> str:
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        return "absent"
