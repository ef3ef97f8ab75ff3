"""A model behind a server that speaks the chat protocol of OpenAI.

Requests run side by side in threads, at most `concurrency` at once; results are told in the caller's own thread, as
they come. What was answered before is not asked again, in this process or another. What a server refuses (a seed,
`response_format`, probabilities) is left out from then on, and said once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import cast

from pydantic import JsonValue

from freehold.core.errors import ModelError
from freehold.core.message import Message
from freehold.core.outcome import Cause, Failed
from freehold.core.record import canonical_json, digest_json
from freehold.core.sections import UserEndpoint
from freehold.models import endpoint_identity as identities
from freehold.models import endpoint_wire as wire
from freehold.models.door import (
    Choice,
    Constraint,
    Generation,
    OnChoice,
    OneOf,
    OnGeneration,
    TokenLogprobs,
)
from freehold.models.endpoint_budget import Amount, Purse, amount_of
from freehold.models.endpoint_identity import Identity
from freehold.models.endpoint_memory import Known, Memory
from freehold.models.endpoint_transport import Cancelled, Payment, Reply, Transport, Trouble
from freehold.models.endpoint_wire import Completion, Feature, Question
from freehold.models.remote import (
    BudgetReachedError,
    EndpointStoppedError,
    ModelChangedError,
    TokenPrices,
)

CONTEXT_TOKENS = 8192
"""What is assumed where neither the settings nor the server say it."""
OPENING_RETRIES = 2
Settle = Callable[[int, Completion | Failed], None]

_SAID: dict[Feature, str] = {
    "seed": "takes no seed",
    "temperature": "refuses temperature 0: its answers may vary from one time to the next",
    "max_tokens": "wants max_completion_tokens in place of max_tokens",
    "logprobs": "tells no log-probabilities",
    "strict": "refuses strict schemas: its answers need not fit them",
    "response_format": "refuses response_format: answers are free text, held to nothing",
}


@dataclass
class Tally:
    """How many requests were answered, known already, and sent again; what must be said, each once."""

    requests: int = 0
    from_cache: int = 0
    notes: dict[str, None] = field(default_factory=dict[str, None])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, completion: Completion) -> None:
        """Count one answer."""
        with self.lock:
            self.from_cache += completion.from_cache
            self.requests += not completion.from_cache

    def say(self, text: str) -> None:
        """Keep a sentence for the report, once."""
        with self.lock:
            self.notes.setdefault(text)


@dataclass(frozen=True)
class Means:
    """What an endpoint works with beside its settings: the connection, the memory, the purse, the tally."""

    transport: Transport
    memory: Memory
    purse: Purse
    tally: Tally


@dataclass
class _Dialect:
    """What this server was found to refuse, and what it was seen to take; for any number of threads."""

    refused: frozenset[Feature] = frozenset()
    proven: frozenset[Feature] = frozenset()
    lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, used: Sequence[Feature]) -> None:
        """Note what a request that was answered used."""
        if not self.proven.issuperset(used):
            with self.lock:
                self.proven |= set(used)

    def refuse(self, feature: Feature) -> None:
        """Leave something out from now on."""
        with self.lock:
            self.refused = frozenset((*self.refused, feature))


class EndpointModel:
    """A model behind an endpoint, for one caller at a time. Nothing is sent before it is asked something.

    Attributes:
        name: the name in the settings.
    """

    def __init__(self, name: str, spec: UserEndpoint, means: Means) -> None:
        self.name = name
        self._spec = spec
        self._means = means
        self._dialect = _Dialect()
        self._known: tuple[Identity, int] | None = None
        self._served_models: tuple[dict[str, JsonValue], ...] | None = None
        self._change: ModelChangedError | None = None
        self._is_suspicious = False
        self._seen: set[tuple[str | None, str | None]] = set()
        self._streak = 0

    # What it is ------------------------------------------------------------------------------

    @property
    def prices(self) -> TokenPrices:
        """What its tokens cost."""
        return prices_of(self._spec)

    @property
    def digest(self) -> str:
        """Over the model's name and what it answers to fixed prompts; asks for them the first time.

        Raises:
            ModelError: the endpoint cannot be used; the message says why.
        """
        identity, generation = self._identity()
        return identities.digest_of(identity, generation)

    @property
    def context_tokens(self) -> int:
        """What the settings say, else what the server says, else 8192."""
        if self._spec.context_tokens is not None:
            return self._spec.context_tokens
        return identities.context_of(self._entry()) or CONTEXT_TOKENS

    @property
    def retries(self) -> int:
        """How many requests were sent once more."""
        return self._means.transport.retries

    @property
    def lost(self) -> int:
        """How many answers were lost on the way; each counts at the most that it can have cost."""
        return self._means.transport.lost

    def pay_from(self, purse: Purse) -> None:
        """Pay for everything that is asked from now on from another purse."""
        self._means = replace(self._means, purse=purse)

    def served(self) -> tuple[str, ...]:
        """Return the names of the models that the server lists, empty where it keeps no list.

        Raises:
            ModelError: nothing answers, the key is refused, or what answers is no endpoint.
        """
        return tuple(str(entry["id"]) for entry in self._list())

    def verify(self) -> None:
        """Ask the fixed prompts again.

        Raises:
            ModelChangedError: END-006 when another model answers; from then on every question raises it.
            EndpointStoppedError: nothing answers.
        """
        if self._change is not None:
            raise self._change
        if self._known is None:
            return
        self._is_suspicious = False
        known, generation = self._known
        seen = self._probe()
        if identities.is_same(known, seen):
            self._remember_fingerprints(known, seen, generation)
            return
        self._means.memory.retire(known.model, generation)
        count = identities.differing(known.answers, seen.answers)
        self._change = ModelChangedError(
            "END-006",
            f"the model behind {self.name} changed while it was measured: {count} of"
            f" {len(seen.answers)} fixed probes are answered otherwise",
            help="type the same command again: it measures every rung with the present model",
        )
        self._means.tally.say(self._change.problems[0].message)
        raise self._change

    # What it can do --------------------------------------------------------------------------

    def generate(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        max_tokens: int,
        constraint: Constraint | None = None,
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Answer each prompt at temperature 0; see `Model.generate`.

        A constraint is asked for by a strict JSON schema. Where the server refuses or ignores that, the
        answer is what the model wrote.

        Raises:
            ValueError: `max_tokens` is below 1.
            EndpointStoppedError: the endpoint as a whole cannot be used any more.
            BudgetReachedError: the next request could pass the budget.
            ModelError: another model answers than before.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; an answer has at least one token")
        longest = max_tokens if constraint is None else max_tokens + wire.WRAPPING_TOKENS
        results: dict[int, Generation | Failed] = {}

        def settle(place: int, found: Completion | Failed) -> None:
            if isinstance(found, Completion) and constraint is not None:
                self._look_whether_held(found, constraint)
            result = found if isinstance(found, Failed) else self._generation(found, constraint)
            results[place] = result
            if on_answer is not None:
                on_answer(place, result)

        self._ask_all([Question(tuple(p), longest, constraint) for p in prompts], settle)
        return tuple(results[place] for place in range(len(prompts)))

    def choose(
        self,
        prompts: Sequence[Sequence[Message]],
        options: Sequence[str],
        *,
        on_answer: OnChoice | None = None,
    ) -> tuple[Choice | Failed, ...]:
        """Let the model write one of the options; no probabilities are known of the others.

        An answer that is none of them, where the server holds it to nothing, is the option that its likeliest
        first tokens begin, where the server tells these; else it is `Failed(Cause.FORMAT)`.

        Raises:
            ValueError: there is no option.
            ModelError: as for `generate`.
        """
        if not options:
            raise ValueError("choose needs at least one option")
        labels = OneOf(labels=tuple(options))
        longest = max(len(json.dumps(option).encode()) for option in options)
        most = longest // 2 + wire.WRAPPING_TOKENS + 8
        results: dict[int, Choice | Failed] = {}

        def settle(place: int, found: Completion | Failed) -> None:
            if isinstance(found, Completion):
                self._look_whether_held(found, labels)
            result = found if isinstance(found, Failed) else self._choice(found, labels)
            results[place] = result
            if on_answer is not None:
                on_answer(place, result)

        wants = "response_format" in self._dialect.refused
        self._ask_all([Question(tuple(p), most, labels, wants) for p in prompts], settle)
        return tuple(results[place] for place in range(len(prompts)))

    def answer_logprobs(
        self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> tuple[TokenLogprobs | Failed, ...]:
        """Return the log-probabilities of the answers that the model writes by itself.

        An endpoint tells nothing of an answer that it does not write: that is `Failed(Cause.ENGINE)`.

        Raises:
            ValueError: the numbers of prompts and answers differ.
            ModelError: as for `generate`.
        """
        if len(prompts) != len(answers):
            raise ValueError(f"{len(prompts)} prompts, {len(answers)} answers")
        results: dict[int, TokenLogprobs | Failed] = {}

        def settle(place: int, found: Completion | Failed) -> None:
            results[place] = (
                found if isinstance(found, Failed) else _told(found, answers[place], self.name)
            )

        self._ask_all(
            [
                Question(tuple(prompt), len(answer.encode()) + 8, wants_logprobs=True)
                for prompt, answer in zip(prompts, answers, strict=True)
            ],
            settle,
        )
        return tuple(results[place] for place in range(len(prompts)))

    def render(self, messages: Sequence[Message]) -> str:
        """Return the JSON of the messages, byte for byte as it is sent."""
        return canonical_json(wire.sent_messages(messages)).decode()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return about how many tokens the prompt has, mostly too many: the tokenizer is elsewhere."""
        return wire.estimated_tokens(messages)

    def close(self) -> None:
        """Close the connection."""
        self._means.transport.close()

    # Many questions --------------------------------------------------------------------------

    def _ask_all(self, questions: Sequence[Question], settle: Settle) -> None:
        """Ask all questions and tell of each answer; equal questions are sent once."""
        if not questions:
            return
        if self._change is not None:
            raise self._change
        self._identity()
        places: dict[str, list[int]] = {}
        for place, question in enumerate(questions):
            places.setdefault(self._key(question), []).append(place)
        stop = threading.Event()
        round_ = _Round(settle, self._spec.give_up_after, self._streak)
        with ThreadPoolExecutor(min(self._spec.concurrency, len(places))) as pool:
            waiting = {
                pool.submit(self._one, questions[where[0]], key, stop=stop): where
                for key, where in places.items()
            }
            try:
                for future in as_completed(waiting):
                    round_.take(waiting[future], _result(future), self._whole)
            except BaseException:
                stop.set()
                for future in waiting:
                    future.cancel()
                raise
            finally:
                self._streak = round_.streak
        round_.finish()
        if self._is_suspicious:
            self.verify()

    def _one(
        self, question: Question, key: str, *, stop: threading.Event
    ) -> Completion | Trouble | Cancelled:
        """Answer one question from the memory or over the network, in a thread of its own."""
        if stop.is_set():
            return Cancelled()
        known = self._means.memory.answer(key)
        if known is not None:
            found = wire.read_completion(known.body.encode(), seconds=known.seconds)
            if isinstance(found, Completion):
                completion = replace(found, from_cache=True)
                self._means.tally.count(completion)
                return completion
        result = self._over_the_network(question, retries=self._spec.retries, stop=stop, key=key)
        if isinstance(result, Completion):
            self._means.tally.count(result)
            self._look_at(result)
        return result

    def _over_the_network(
        self, question: Question, *, retries: int, stop: threading.Event, key: str | None
    ) -> Completion | Trouble | Cancelled:
        """Send a question, without what the server refuses; keep the answer under `key`."""
        while True:
            refused = self._dialect.refused
            used = wire.used_features(question, refused)
            body = wire.request_body(question, model=self._model(), refused=refused)
            kept: list[bytes] = []

            def read(reply: Reply, kept: list[bytes] = kept) -> Completion | Trouble:
                found = wire.read_completion(reply.body, seconds=reply.seconds)
                if isinstance(found, str):
                    return Trouble("broken", found, may_be_paid=True)
                kept.append(reply.body)
                return found

            outcome = self._means.transport.deliver(
                body,
                read=read,
                payment=Payment(self._means.purse, self._most(question), self._cost_of(question)),
                retries=retries,
                stop=stop,
            )
            if isinstance(outcome, Completion):
                self._dialect.took(used)
                if outcome.text is not None and key is not None:
                    known = Known(kept[-1].decode("utf-8", "replace"), outcome.seconds)
                    self._means.memory.keep(key, known)
                return outcome
            if not self._goes_without(outcome, used, refused):
                return outcome

    def _goes_without(
        self, outcome: Trouble | Cancelled, used: Sequence[Feature], refused: frozenset[Feature]
    ) -> bool:
        """Leave out what the server refused; False where nothing can be left out."""
        if not isinstance(outcome, Trouble) or outcome.kind != "refused":
            return False
        if self._dialect.refused != refused:
            return True  # another thread learnt something since
        if wire.is_too_long(outcome.detail):
            return False
        feature = wire.refused_feature(outcome.detail, used, proven=self._dialect.proven)
        if feature is None:
            return False
        self._dialect.refuse(feature)
        self._means.tally.say(f"{self.name} {_SAID[feature]}")
        return True

    def _key(self, question: Question) -> str:
        body = wire.request_body(question, model=self._model(), refused=frozenset())
        return digest_json("answer", [self._spec.url, self.digest, body.decode()])

    def _most(self, question: Question) -> Amount:
        return amount_of(
            self.prices,
            prompt_tokens=wire.most_prompt_tokens(question.messages),
            answer_tokens=question.max_tokens,
        )

    def _cost_of(self, question: Question) -> Callable[[Completion], Amount]:
        """Return what an answer cost by the tokens that the server counted; the most where it did not."""

        def cost(found: Completion) -> Amount:
            if found.prompt_tokens is None or found.answer_tokens is None:
                return self._most(question)
            return amount_of(
                self.prices,
                prompt_tokens=found.prompt_tokens,
                answer_tokens=found.answer_tokens,
            )

        return cost

    def _look_at(self, found: Completion) -> None:
        """Grow suspicious where a response comes from a model or a set-up that was not seen before."""
        signs = (found.served_as, found.system_fingerprint)
        if signs not in self._seen:
            self._is_suspicious = True
            self._seen.add(signs)

    def _look_whether_held(self, found: Completion, constraint: Constraint) -> None:
        """Say where a server takes `response_format` and does not keep to it."""
        if "response_format" not in self._dialect.refused and not wire.is_held(found, constraint):
            self._means.tally.say(
                f"{self.name} ignores response_format: its answers are free text, held to nothing"
            )

    # Results ---------------------------------------------------------------------------------

    def _generation(self, found: Completion, constraint: Constraint | None) -> Generation | Failed:
        if found.text is None:
            return _no_text(found)
        return Generation(
            text=wire.unwrapped(found.text, constraint),
            prompt_tokens=found.prompt_tokens or 0,
            answer_tokens=found.answer_tokens or 0,
            truncated=found.truncated,
            seconds=found.seconds / self._spec.concurrency,
            latency_seconds=found.seconds,
        )

    def _choice(self, found: Completion, labels: OneOf) -> Choice | Failed:
        if found.text is None:
            return _no_text(found)
        text = wire.unwrapped(found.text, labels)
        index = wire.label_place(text, labels.labels)
        if index is None and found.tokens:
            index = wire.likeliest_label(found.tokens[0], labels.labels)
        if index is None:
            said = " ".join(text.split())[:80]
            return Failed(
                cause=Cause.FORMAT,
                message=f"{self.name} does not hold answers to the labels, and wrote {said!r}",
            )
        return Choice(
            index=index,
            label=labels.labels[index],
            logprobs=(),
            prompt_tokens=found.prompt_tokens or 0,
            seconds=found.seconds / self._spec.concurrency,
            answer_tokens=found.answer_tokens or 0,
            latency_seconds=found.seconds,
        )

    # Who answers -----------------------------------------------------------------------------

    def _identity(self) -> tuple[Identity, int]:
        """Return who answers, found among those who answered here before, or kept as a new one."""
        if self._known is None:
            seen = self._probe()
            known = self._means.memory.identities(seen.model)
            found = [
                (identity, entry.generation)
                for entry in reversed(known)
                if not entry.is_retired
                and identities.is_same(identity := Identity.from_json(entry.record), seen)
            ]
            if found:
                self._known = found[0]
                self._remember_fingerprints(*found[0][:1], seen, found[0][1])
            else:
                generation = len(known)
                self._means.memory.keep_identity(
                    seen.model, generation, record=seen.model_dump_json()
                )
                self._known = (seen, generation)
                if known:
                    self._means.tally.say(
                        f"the model behind {self.name} is another one than before: its fixed probes are"
                        " answered otherwise, so everything is measured anew with it"
                    )
        return self._known

    def _probe(self) -> Identity:
        """Ask the fixed prompts; nothing of it comes from the memory."""
        questions = [
            Question(prompt, identities.PROBE_TOKENS) for prompt in identities.probe_prompts()
        ]
        stop = threading.Event()
        entry = self._entry()
        with ThreadPoolExecutor(min(self._spec.concurrency, len(questions))) as pool:
            first = self._opening(questions[0], stop)  # learns what the server refuses, once
            rest = list(pool.map(self._opening, questions[1:], [stop] * len(questions)))
        answers = [first, *rest]
        self._seen |= {(found.served_as, found.system_fingerprint) for found in answers}
        prints = {found.system_fingerprint for found in answers if found.system_fingerprint}
        return Identity(
            model=self._model(),
            served=None if entry is None else identities.lasting(entry),
            answers=tuple(found.text for found in answers),
            system_fingerprints=tuple(sorted(prints)),
        )

    def _opening(self, question: Question, stop: threading.Event) -> Completion:
        retries = min(OPENING_RETRIES, self._spec.retries)
        found = self._over_the_network(question, retries=retries, stop=stop, key=None)
        if isinstance(found, Completion):
            self._means.tally.count(found)
            return found
        if isinstance(found, Cancelled):
            raise KeyboardInterrupt
        raise self._whole(found)

    def _remember_fingerprints(self, known: Identity, seen: Identity, generation: int) -> None:
        """Keep fingerprints of the server's set-up that are new, and say that they came and changed nothing."""
        fresh = set(seen.system_fingerprints) - set(known.system_fingerprints)
        if not fresh:
            return
        both = (*known.system_fingerprints, *sorted(fresh))
        updated = known.model_copy(update={"system_fingerprints": both})
        self._known = (updated, generation)
        self._means.memory.keep_identity(known.model, generation, record=updated.model_dump_json())
        if known.system_fingerprints:
            self._means.tally.say(
                f"the set-up of {self.name} changed (system_fingerprint {', '.join(sorted(fresh))});"
                " its fixed probes are answered as before"
            )

    def _model(self) -> str:
        """Return the server's name of the model.

        Raises:
            ModelError: END-003 when none is named and the server does not list exactly one.
        """
        if self._spec.model is not None:
            return self._spec.model
        names = self.served()
        if len(names) == 1:
            return names[0]
        raise ModelError(
            "END-003",
            f"{self.name} serves {', '.join(names) or 'no model that it lists'}, and none is named",
            help=f"name one in the user file: endpoints.{self.name}.model",
        )

    def _entry(self) -> dict[str, JsonValue] | None:
        """Return what the server says of the model; None where it says nothing.

        A server may break over its list and answer well: where a model is named, the fixed prompts tell.
        """
        entries = self._list(is_needed=self._spec.model is None)
        name = self._model()
        return next((entry for entry in entries if entry["id"] == name), None)

    def _list(self, *, is_needed: bool = True) -> tuple[dict[str, JsonValue], ...]:
        if self._served_models is None:
            reply = self._means.transport.get("models")
            if isinstance(reply, Trouble):
                if reply.kind not in {"missing", "refused"} and (is_needed or reply.kind != "busy"):
                    raise self._whole(reply)
                self._served_models = ()
            else:
                self._served_models = self._read_list(reply)
        return self._served_models

    def _read_list(self, reply: Reply) -> tuple[dict[str, JsonValue], ...]:
        try:
            value = cast(JsonValue, json.loads(reply.body))
        except (ValueError, RecursionError):
            raise self._whole(
                Trouble("moved", f"{self._spec.url}/models is {wire.described(reply.body)}")
            ) from None
        data = value.get("data") if isinstance(value, dict) else None
        entries = data if isinstance(data, list) else []
        return tuple(e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str))

    def _whole(self, trouble: Trouble) -> EndpointStoppedError:
        """Return the error that says why the endpoint cannot be used, and the way out."""
        name, said = self.name, trouble.message
        match trouble.kind:
            case "denied":
                help_ = f"set endpoints.{name}.key to env:NAME in the user file, and NAME in the environment"
                return EndpointStoppedError("END-002", f"{name} refuses access: {said}", help=help_)
            case "missing":
                return self._missing(trouble)
            case "moved":
                help_ = f"write the url before /chat/completions as endpoints.{name}.url, mostly ending in /v1"
                return EndpointStoppedError(
                    "END-004", f"{name} is no endpoint of this protocol: {said}", help=help_
                )
            case "refused":
                if self._spec.model not in {None, *self.served()} and self.served():
                    return self._missing(trouble)
                help_ = "look at the server's log; this request was as plain as it can be"
                return EndpointStoppedError(
                    "END-010", f"{name} refuses plain requests: {said}", help=help_
                )
            case "unreachable" | "busy" | "broken":
                return EndpointStoppedError(
                    "END-001",
                    f"{name} cannot be used: {said}",
                    help=f"start the server, or mend endpoints.{name}.url; then type the same command again",
                )

    def _missing(self, trouble: Trouble) -> EndpointStoppedError:
        known = self._served_models or ()
        names = [str(entry["id"]) for entry in known]
        if not names:
            return EndpointStoppedError(
                "END-004",
                f"{self.name} has no such path or model: {trouble.message}",
                help=f"mend endpoints.{self.name}.url (mostly ending in /v1) or endpoints.{self.name}.model",
            )
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        return EndpointStoppedError(
            "END-003",
            f"{self.name} does not serve {self._spec.model}: {trouble.message}",
            help=f"it serves: {shown}\nname one of them as endpoints.{self.name}.model",
        )


@dataclass
class _Round:
    """The results of one call, told as they come.

    A request that failed after all retries is held back until one is answered: when `most` of them fail in a row, the
    endpoint is down, and none of them is a failure of its example.
    """

    settle: Settle
    most: int
    streak: int
    held: list[tuple[list[int], Failed]] = field(default_factory=list[tuple[list[int], Failed]])
    stop: ModelError | None = None

    def take(
        self,
        places: list[int],
        result: Completion | Trouble | Cancelled | BudgetReachedError,
        whole: Callable[[Trouble], EndpointStoppedError],
    ) -> None:
        """Take one result.

        Raises:
            EndpointStoppedError: every other request would fail too.
        """
        match result:
            case BudgetReachedError():
                self.stop = result
            case Cancelled():
                pass
            case Completion():
                if not result.from_cache:
                    self._release()
                self._tell(places, result)
            case Trouble():
                if result.is_of_the_whole:
                    raise whole(result)
                self._take_trouble(places, result, whole)

    def finish(self) -> None:
        """Tell of what is still held back.

        Raises:
            BudgetReachedError: the budget ended the round.
        """
        for places, failed in self.held:
            self._tell(places, failed)
        self.held.clear()
        if self.stop is not None:
            raise self.stop

    def _take_trouble(
        self,
        places: list[int],
        trouble: Trouble,
        whole: Callable[[Trouble], EndpointStoppedError],
    ) -> None:
        if not trouble.may_pass:
            cause = Cause.TOO_LONG if wire.is_too_long(trouble.detail) else Cause.ENGINE
            self._tell(places, Failed(cause=cause, message=trouble.message))
            return
        self.streak += 1
        self.held.append((places, Failed(cause=Cause.ENGINE, message=trouble.message)))
        if self.streak >= self.most:
            said = whole(trouble).problems[0].message
            raise EndpointStoppedError(
                "END-005",
                f"paused: {self.streak} requests in a row failed after all retries; the last: {said}",
                help="when the endpoint is back, type the same command again: it goes on from here",
            )

    def _release(self) -> None:
        self.streak = 0
        for places, failed in self.held:
            self._tell(places, failed)
        self.held.clear()

    def _tell(self, places: list[int], result: Completion | Failed) -> None:
        for place in places:
            self.settle(place, result)


def prices_of(spec: UserEndpoint) -> TokenPrices:
    """Return what an endpoint's tokens cost."""
    return TokenPrices(
        dollars_per_million_input_tokens=spec.dollars_per_million_input_tokens,
        dollars_per_million_output_tokens=spec.dollars_per_million_output_tokens,
    )


def _result(
    future: Future[Completion | Trouble | Cancelled],
) -> Completion | Trouble | Cancelled | BudgetReachedError:
    try:
        return future.result()
    except BudgetReachedError as error:
        return error


def _no_text(found: Completion) -> Failed:
    return Failed(cause=Cause.ENGINE, message=found.nothing)


def _told(found: Completion, answer: str, name: str) -> TokenLogprobs | Failed:
    """Return the log-probabilities of an answer where it is the one that was written."""
    if not found.tokens:
        return Failed(cause=Cause.ENGINE, message=f"{name} tells no log-probabilities")
    if found.text != answer:
        return Failed(
            cause=Cause.ENGINE,
            message=f"{name} tells log-probabilities of what it writes only, and it writes another answer",
        )
    return TokenLogprobs(
        tokens=tuple(token.token for token in found.tokens),
        logprobs=tuple(token.logprob for token in found.tokens),
        is_greedy=True,
    )
